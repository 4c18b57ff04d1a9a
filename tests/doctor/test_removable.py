"""`annpipe clean` removes what is not needed, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from annpipe.doctor import removable as module
from annpipe.doctor.removable import removable, remove
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import run_folders
from annpipe.record.journal.state import read_state, write_state
from annpipe.runs.launch import run
from tests.conftest import wait_until_recorded

SPEC = """
version: 1
name: small
data: {formula: {rows: 20, inputs: {x: {Uniform: [0, 1]}}, targets: {y: x}}}
model: [{Linear: 1}]
loss: MSELoss
optimizer: SGD
train: {epochs: 2}
plots: []
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("spec.yaml").write_text(SPEC)
        finished = run("spec.yaml")
    wait_until_recorded(finished.folder)
    return finished.folder


@pytest.fixture
def project(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with three finished runs, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for number in range(3):
        shutil.copytree(trained, tmp_path / "runs" / f"{trained.name[:-1]}{number}")
    (tmp_path / "home" / "annpipe" / "rows").mkdir(parents=True)
    (tmp_path / "home" / "annpipe" / "rows" / "file").write_bytes(b"1234")
    return tmp_path


def names(project: Path, keep: int, group: str) -> list[str]:
    return [item.path.name for item in removable(project, keep) if item.group == group]


def test_only_what_is_not_needed_is_removed(project: Path, annpipe_here, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = run_folders(project)
    assert sorted(names(project, 1, "runs")) == sorted(folder.name for folder in runs[:2])
    assert names(project, 3, "runs") == []
    assert {item.size for item in removable(project, 3) if item.path.name == "rows"} == {4}

    state = read_state(runs[0])
    write_state(runs[0], type(state)(**{**vars(state), "complete": False}))
    assert names(project, 1, "runs") == [runs[1].name]  # the record of the first lacks something

    assert annpipe_here("clean", "--dry-run", "--yes", "--keep", "1", "--runs")[0] == 0
    assert len(list((project / "runs").iterdir())) == 3
    code, _, err = annpipe_here("clean", "--keep", "1", "--runs")
    assert code == 0
    assert "--yes" in err  # nobody can be asked
    assert len(list((project / "runs").iterdir())) == 3

    code, out, _ = annpipe_here("clean", "--keep", "1", "--runs", "--yes", "--json")
    assert (code, json.loads(out)["removed"]) == (0, [str(runs[1])])
    assert set((project / "runs").iterdir()) == {runs[0], runs[2]}
    assert (project / "home" / "annpipe" / "rows").is_dir()  # --runs is not --caches
    annpipe_here("clean", "--keep", "0", "--yes")
    assert not (project / "home" / "annpipe" / "rows").exists()
    assert not (runs[2] / "checkpoints").exists()
    assert (runs[2] / "model").is_dir()


def test_what_is_in_use_or_foreign_stays(project: Path) -> None:
    first, second, third = run_folders(project)
    items = [item for item in removable(project, 0) if item.path == first]
    journal = Journal.reopen(first)
    try:
        assert first.name not in names(project, 0, "runs")
        assert names(project, 0, "caches") == []
        assert remove(items) == []
        assert first.is_dir()
    finally:
        journal.close()
    os.symlink(project / "home", second / "link")  # it leads out of the folder
    assert set(names(project, 0, "runs")) == {first.name, third.name}


def test_a_removal_that_was_killed_leaves_no_half_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item for item in removable(project, 2) if item.group == "runs"]

    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "rmtree", refuse)
        assert [reason for _, reason in remove(items)] == ["Read-only file system"]
    assert not items[0].path.exists()
    left = [item for item in removable(project, 2) if item.path.name.startswith(".removed-")]
    assert remove(left) == []
    assert len(list((project / "runs").iterdir())) == 2
