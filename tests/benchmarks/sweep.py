"""What a sweep costs around its training: `python tests/benchmarks/sweep.py [ROUNDS]`.

`annpipe sweep` of 64 trials of two epochs, 8 learning rates with 8 seeds each, from the start of the command to the
whole record in the SQLite store of a fresh project, divided by 64: imports, plans, training, figures, models and the
wait for MLflow are all in it. Then the shipping alone: 64 trials of 200 points into a new store, with MLflow imported.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from measure import Figure, alternate, show, timed

from annpipe.record.journal.events import ArtifactKept, DatasetUsed, RunBegun, RunEnded, TrialEnded
from annpipe.record.journal.journal import Journal, now_ms
from annpipe.record.journal.location import MLFLOW_ENVIRONMENT, artifact_root, embedded_uri

TRIALS, POINTS = 64, 200
OVER = ("--over", "optimizer.Adam.lr=1e-4,2e-4,4e-4,8e-4,1e-3,2e-3,4e-3,8e-3", "--over", "seed=0..7")
SPEC = """
version: 1
name: trivial
device: {type: cpu, threads: 1}
data: {formula: {rows: 100, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 8, ReLU, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 1e-3}}
train: {epochs: 2, batch_size: all}
tracking: {wait_seconds: 600}
"""


def measure(rounds: int = 5) -> list[Figure]:
    """Seconds of a trial, and of the shipping of all."""
    found = alternate({"whole": _whole, "first": lambda: _shipped(is_first=True), "next": lambda: _shipped()}, rounds)
    what = f"{TRIALS} trials × {POINTS} points into a new store"
    return [
        Figure(f"sweep of {TRIALS} trivial trials, a trial", "s", [one / TRIALS for one in found["whole"]], [], 0.15),
        Figure(what, "s", found["next"], [], 5.0),
        Figure(f"{what}, the first one of a machine", "s", found["first"], [], 5.0),
    ]


def _whole() -> float:
    with tempfile.TemporaryDirectory() as project:
        Path(project, "spec.yaml").write_text(SPEC, encoding="utf-8")
        return timed([sys.executable, "-m", "annpipe", "sweep", "spec.yaml", *OVER], Path(project))


def _shipped(*, is_first: bool = False) -> float:
    """Seconds of a shipper, once it has imported MLflow; the `is_first` finds no tables kept from another store."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # part of what a shipper has imported

    from annpipe.record.shipper.follow import logging_to, ship
    from annpipe.record.shipper.retry import TrainerPipe

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        uri, root = embedded_uri(project), artifact_root(embedded_uri(project), project)
        facts = {"experiment": "sweep", "artifact_root": root, "tracking_uri": uri, "expected_points": POINTS}
        above = _journal(project / "runs" / "sweep", facts)
        for number in range(TRIALS):
            run = project / "runs" / f"trial-{number}"
            params = {f"option.{n}": str(number + n) for n in range(40)}
            journal = _journal(run, {**facts, "parent": "sweep", "params": params})
            (run / "plan.yaml").write_text(f"seed: {number}\n", encoding="utf-8")
            journal.write(ArtifactKept(file="plan.yaml", to=""))
            journal.write(DatasetUsed(dataset={"name": "formula", "digest": "ab" * 8, "context": "train"}))
            values = [number + 1 / step for step in range(1, POINTS + 1)]
            journal.series("train/loss", 1, values, now_ms(), now_ms() + POINTS)
            _end(journal)
            above.write(TrialEnded(run=run.name, time=now_ms()))
        _end(above)
        elsewhere = {"XDG_CACHE_HOME": str(project / "cache")} if is_first else {}
        with patch.dict(os.environ, elsewhere), logging_to(project / "runs" / "sweep"):
            begin = time.perf_counter()
            state = ship(project / "runs" / "sweep", uri, TrainerPipe(None), 60.0)
            seconds = time.perf_counter() - begin
        assert state.complete, state.problem
        return seconds


def _journal(folder: Path, facts: dict[str, Any]) -> Journal:
    folder.mkdir(parents=True)
    journal = Journal.create(folder)
    journal.write(RunBegun(id=folder.name, name=folder.name, time=now_ms(), tags={"mlflow.user": "ann"}, **facts))
    return journal


def _end(journal: Journal) -> None:
    journal.write(RunEnded(status="FINISHED", time=now_ms(), error=None))
    journal.close()


if __name__ == "__main__":
    os.environ.update(MLFLOW_ENVIRONMENT)
    show(measure(*map(int, sys.argv[1:])))
