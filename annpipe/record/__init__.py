"""The record of runs: from their journals to what MLflow keeps.

`journal` is what happened in a run, in its folder: the events and their lines, who made the folder (`seal`), how far
its record has come (`state`), and what is read of it (`summary`, `comparison`).
`store` speaks to MLflow and alone imports it.
`shipper` is a process of its own that takes the events of a journal to a store; `recorder` is the trainer's side of it.

    trainer ──events──▶ journal.jsonl ──▶ shipper: follow → shipment (trials, series, files) → sender → store ──▶ MLflow
"""
