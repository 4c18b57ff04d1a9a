"""Several processes make a project's first things at once: its database, its tables in the cache, its experiment."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from annpipe.record.journal import location

N_PROCESSES = 8
# One process imports MLflow, and forks eight for each round, which come to the store when a pipe is closed.
COMERS = """
import os, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.project import new_run_folder
from annpipe.record.store.client import Store
import annpipe.record.store.new_database, annpipe.record.store.migration
import mlflow.store.tracking.sqlalchemy_store
base, rounds, n_processes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def come(one):
    os.environ["XDG_CACHE_HOME"] = str(base / str(one if one % 3 == 0 else 0) / "cache")
    project = base / str(one) / "project"
    folder = new_run_folder(project, "same")
    store = Store(f"sqlite:///{project}/mlflow.db")
    experiment = store.experiment("first", str(project / "mlartifacts"))
    run = store.run(experiment, RunBegun(id=folder.name, name="same", time=1))
    os.write(1, f"{one} {experiment} {run}\\n".encode())


for one in range(rounds):
    read, write = os.pipe()
    children = []
    for _ in range(n_processes):
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            try:
                come(one)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    os.close(read)
    os.close(write)
    if any([os.waitpid(child, 0)[1] for child in children]):
        sys.exit(f"round {one} failed")
"""


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_eight_come_at_once(rounds: int, tmp_path: Path) -> None:
    """No error, one database, one experiment, a run and a folder each; every third time without tables in the cache."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_TRACKING")}
    done = subprocess.run(
        [sys.executable, "-c", COMERS, str(tmp_path), str(rounds), str(N_PROCESSES)],
        capture_output=True, text=True, env=environment | location.MLFLOW_ENVIRONMENT, timeout=540, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = [line.split() for line in done.stdout.splitlines()]
    for one in range(rounds):
        mine = [line for line in told if line[0] == str(one)]
        assert len(mine) == N_PROCESSES
        assert len({experiment for _, experiment, _ in mine}) == 1
        assert len({run for *_, run in mine}) == N_PROCESSES
        project = tmp_path / str(one) / "project"
        assert len(list((project / "runs").iterdir())) == N_PROCESSES
        with closing(sqlite3.connect(project / location.DATABASE)) as connection:
            assert connection.execute("SELECT count(*) FROM runs").fetchone() == (N_PROCESSES,)
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
