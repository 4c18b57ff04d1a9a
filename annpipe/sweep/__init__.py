"""A sweep: one spec run with every combination of some values, each trial a run of its own, all of them one record.

    SPEC, --over PATH=VALUES ──axes──▶ combinations ──trials──▶ plans ──running──▶ runs ──▶ table, figures

`axes` says which values, `trials` which plans come of them and which have a run already, `running` trains what is
missing, `table` (with `statistics`) and `figures` show what was found.
"""
