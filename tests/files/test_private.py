"""What a run writes is its owner's alone, and no command line shows a password."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import annpipe
from annpipe.files.private import cache_folder, private_folder, write_private
from annpipe.sweep.sweep import run_sweep
from tests.conftest import unrecorded

SECRET = "Geheim-7c1"
SPEC = """
version: 1
name: private
device: {type: cpu, threads: 1}
data: {formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 2}
plots: [learning_curve]
tracking: {wait_seconds: 0.1}
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_of_runs_and_caches_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the umask: nobody else reads a run, a sweep, a trial, its model, or the caches."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "spec.yaml").write_text(SPEC)
    before = os.umask(0)
    try:
        with unrecorded():
            assert annpipe.run("spec.yaml").status == "FINISHED"
            run_sweep("spec.yaml", over={"optimizer.SGD.lr": [0.1, 0.2]})
    finally:
        os.umask(before)
    folders = [path for path in (tmp_path / "runs").rglob("*") if path.is_dir()]
    assert len([path for path in folders if path.name == "model"]) == 3
    assert {mode(path) for path in [tmp_path / "runs", *folders]} == {0o700}
    holding = {path for name in ("spec.yaml", "plan.yaml", "journal.jsonl") for path in (tmp_path / "runs").rglob(name)}
    assert len(holding) > 6
    assert {mode(path) for path in holding} == {0o600}
    assert {mode(path) for path in (tmp_path / "cache" / "annpipe").rglob("*") if path.is_dir()} <= {0o700}


def test_what_is_there_keeps_its_folder_and_loses_its_readers(tmp_path: Path) -> None:
    """A folder that the user has opened to others stays so; a file with a spec in it does not."""
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("before")
    (tmp_path / "file").chmod(0o644)
    write_private(tmp_path / "file", "after")
    assert (mode(tmp_path / "file"), (tmp_path / "file").read_text()) == (0o600, "after")
    assert private_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (mode(tmp_path), mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o755, 0o700, 0o700)
    with pytest.raises(NotADirectoryError):
        private_folder(tmp_path / "file")


def processes(above: int) -> list[str]:
    """The command lines of a process and of all that stand below it."""
    parents, lines = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(process.name)] = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:  # it ended meanwhile
            continue
    found = {above}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return [lines[number] for number in found if number in lines]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="command lines are read from /proc")
@pytest.mark.parametrize(
    "words",
    [
        ["run", "spec.yaml", "--tracking-uri", f"http://ann:{SECRET}@127.0.0.1:9"],
        ["sweep", "spec.yaml", "--over", "optimizer.SGD.lr=0.1,0.2,0.3", "--workers", "2", "--storage", "STORAGE"],
    ],
    ids=["run", "sweep"],
)
def test_a_password_is_not_left_in_the_list_of_processes(words: list[str], tmp_path: Path) -> None:
    """Soon after its start the command is shown with *** there, and so is all that it starts; it works the same."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    words = [word.replace("STORAGE", f"sqlite:///{tmp_path}/study.db?token={SECRET}") for word in words]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "ANNPIPE"))}
    command = [sys.executable, "-m", "annpipe", *words, "--json"]
    with subprocess.Popen(command, cwd=tmp_path, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 300
        while "***" not in Path(f"/proc/{process.pid}/cmdline").read_text():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while process.poll() is None and time.monotonic() < deadline + 120:
            lines = processes(process.pid)
            assert not [line for line in lines if SECRET in line]
            time.sleep(0.05)
        printed, said = process.communicate()
    if "run" in words:
        assert process.returncode == 0, said
        assert json.loads(printed)["store"] == "http://***@127.0.0.1:9"
    else:
        assert (tmp_path / "study.db").exists() or b"token" in said, said
    assert SECRET.encode() not in printed + said


def test_the_arguments_of_another_program_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a command line with *** in it has been started anew."""
    from annpipe.cli import VARIABLE, hide_secrets

    monkeypatch.setenv(VARIABLE, '["run", "other.yaml"]')
    monkeypatch.setattr(sys, "argv", ["annpipe", "run", "spec.yaml"])
    hide_secrets()
    assert sys.argv == ["annpipe", "run", "spec.yaml"]
    assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, '["run", "http://ann:pw@host"]')
    monkeypatch.setattr(sys, "argv", ["annpipe", "run", "http://***@host"])
    hide_secrets()
    assert sys.argv == ["annpipe", "run", "http://ann:pw@host"]


@pytest.mark.parametrize(("base", "folder"), [("/x", "/x/annpipe"), ("", "/home/me/.cache/annpipe")])
def test_the_variable_names_the_folder_above(monkeypatch: pytest.MonkeyPatch, base: str, folder: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path(folder)
