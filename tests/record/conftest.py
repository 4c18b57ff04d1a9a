"""A project with a real SQLite store, and runs whose journals a test writes as a trainer would."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal import location
from annpipe.record.journal.events import RunBegun, RunEnded
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.seal import seal

with warnings.catch_warnings():
    # MLflow 3 warns about its own type hints while it is imported.
    warnings.simplefilter("ignore")
    import mlflow.pyfunc  # noqa: F401

for name, value in location.MLFLOW_ENVIRONMENT.items():
    os.environ.setdefault(name, value)

BEGAN = 1_700_000_000_000


@dataclass(frozen=True)
class Begun:
    """A run that a test has begun: its folder and the pen to its journal."""

    folder: Path
    journal: Journal

    def end(self, status: str = "FINISHED", time: int = BEGAN + 60_000) -> Path:
        """Ends the run and lets go of it."""
        self.journal.write(RunEnded(status=status, time=time, error=None))
        self.journal.close()
        return self.folder


Begin = Callable[..., Begun]


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with a store, and an empty working directory beside it where nothing may appear."""
    folder = tmp_path / "project with space"
    folder.mkdir()
    shutil.copy(empty_store, folder / location.DATABASE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(autouse=True)
def nothing_strays(tmp_path: Path) -> Iterator[None]:
    """No run may leave an mlruns folder or a database in the working directory."""
    yield
    elsewhere = tmp_path / "elsewhere"
    assert not elsewhere.exists() or not list(elsewhere.iterdir())
    assert not list(tmp_path.rglob("mlruns"))


@pytest.fixture
def begin(project: Path) -> Iterator[Begin]:
    """Begins a run in the project; keyword arguments change its run event."""
    begun: list[Begun] = []

    def begin(**changes: Any) -> Begun:
        folder = new_run_folder(project, "quadratic")
        journal = Journal.create(folder)
        uri = location.embedded_uri(project)
        facts: dict[str, Any] = {
            "id": folder.name,
            "name": "quadratic",
            "experiment": "quadratic",
            "tracking_uri": uri,
            "artifact_root": location.artifact_root(uri, project),
            "time": BEGAN,
            "description": None,
            "expected_points": 10,
            "tags": {},
            "params": {},
            "dataset": None,
        }
        journal.write(RunBegun(**{**facts, **changes}))
        seal(folder)
        begun.append(Begun(folder, journal))
        return begun[-1]

    yield begin
    for run in begun:
        run.journal.close()
