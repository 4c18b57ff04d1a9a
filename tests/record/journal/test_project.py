"""Finding the project, its runs, and the run that is meant."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from annpipe.errors import NotFound
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import find_project, find_run, new_run_folder, slug
from annpipe.record.journal.state import Shipped, write_state


def make(project: Path, name: str, time: int, called: str | None = None) -> Path:
    """A run that began at `time`."""
    folder = new_run_folder(project, name)
    journal = Journal.create(folder)
    journal.write(RunBegun(id=folder.name, name=called or name, time=time))
    journal.close()
    return folder


def test_the_project_is_the_nearest_folder_with_a_store(tmp_path: Path) -> None:
    """From a folder below, the project above is found; without any store it is the folder itself."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below) == below
    (tmp_path / "mlflow.db").touch()
    assert find_project(below) == tmp_path
    (tmp_path / "a" / "mlflow.db").touch()
    assert find_project(below) == tmp_path / "a"


def test_run_folders_are_never_shared(tmp_path: Path) -> None:
    """Runs that begin in the same second get folders of their own, named after the run."""
    folders = {new_run_folder(tmp_path, "Große Läufe / 1") for _ in range(20)}
    assert len(folders) == 20
    assert all(
        folder.name.startswith("gro-e-laufe-1-") or folder.name.startswith("groe-laufe-1-") for folder in folders
    )
    assert slug("!!!") == "run"


def test_a_run_is_found_by_id_name_prefix_and_mlflow_id(tmp_path: Path) -> None:
    """Whatever a person has at hand."""
    old, new = make(tmp_path, "quadratic", 1000), make(tmp_path, "quadratic", 2000)
    other = make(tmp_path, "quadratic-wide", 1500)
    write_state(other, Shipped(store="sqlite:///x", run_id="0123456789abcdef" * 2))
    assert find_run(tmp_path, old.name) == old
    assert find_run(tmp_path, f"runs/{old.name}/") == old
    assert find_run(tmp_path, "quadratic") == new
    assert find_run(tmp_path, "Quadratic Wide") == other
    assert find_run(tmp_path, "quadratic-w") == other
    assert find_run(tmp_path, "0123456789ab") == other
    assert find_run(tmp_path, last=True) == new


def test_a_name_means_the_run_before_the_trials_of_its_sweep(tmp_path: Path) -> None:
    """Their ids begin with the name of their spec, and they are called by their values."""
    own, trial = make(tmp_path, "quadratic", 1000), make(tmp_path, "quadratic", 2000, called="lr 0.1, seed 0")
    assert find_run(tmp_path, "quadratic") == own
    shutil.rmtree(own)
    assert find_run(tmp_path, "quadratic") == trial


def test_a_wrong_name_suggests_near_ones(tmp_path: Path) -> None:
    """The message names what there is and where to look."""
    with pytest.raises(NotFound, match="annpipe run SPEC"):
        find_run(tmp_path, "quadratic")
    make(tmp_path, "quadratic", 1000)
    make(tmp_path, "quadratic-2", 1000)
    with pytest.raises(NotFound, match=r"did you mean .*'quadratic'.*`annpipe runs`"):
        find_run(tmp_path, "quadrtic")
    with pytest.raises(NotFound, match="fits 2 runs"):
        find_run(tmp_path, "quad")
    with pytest.raises(NotFound, match="--last"):
        find_run(tmp_path)
