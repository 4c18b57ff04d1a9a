"""A sweep: one spec run with every combination of some values, each trial a run of its own, all of them one record.

    SPEC, --over PATH=VALUES ──design──▶ choices ──plan_trials──▶ plans ──train_trials──▶ runs ──▶ results, figures

`design` plans the sweep, a `chooser` gives the values of the next trials, `plan_trials` their plans, `finished_runs`
those that need no training, and `train_trials` trains the others, in the `workers` that `sweep` starts. `results` and
`figures` are made of them.
"""
