"""Predictions of a finished run's saved model for the rows of files.

    file ──rows──▶ columns by name ──SavedNetwork──▶ outputs ──answers──▶ columns ──writing──▶ file

`model` finds and loads the model of a run's folder, `labelled` reads rows with their targets. Nothing here needs the
spec, the data or the plugins that the run was made with.
"""
