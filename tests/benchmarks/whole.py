"""The whole `annpipe run pipelines/quadratic.yaml`, recording everything, against two scripts that train the same:

    python tests/benchmarks/whole.py [ROUNDS] [MLFLOW_ROUNDS]

`peers/bare_loop.py` records nothing; `peers/mlflow_loop.py` calls `mlflow.log_metric` each epoch. Processes take turns
and are timed from start to end. Each run has a fresh project: the store does not exist and is made within the time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import PEERS, SPEC, Figure, alternate, show, timed

PYTHON = sys.executable


def measure(rounds: int = 5, mlflow_rounds: int = 1) -> list[Figure]:
    """Seconds of whole processes."""
    found = alternate({"ours": _ours, "bare": lambda: _peer("bare_loop.py")}, rounds)
    with_mlflow = [_peer("mlflow_loop.py") for _ in range(mlflow_rounds)]
    figures = [Figure("whole run, fresh project, against the bare script", "s", found["ours"], found["bare"], 1.0)]
    if with_mlflow:
        figures.append(Figure("the same, against `log_metric` each epoch", "s", found["ours"], with_mlflow, 0.2))
    return figures


def _ours() -> float:
    with tempfile.TemporaryDirectory() as project:
        return timed([PYTHON, "-m", "annpipe", "run", SPEC], Path(project))


def _peer(name: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return timed([PYTHON, PEERS / name], Path(folder))


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
