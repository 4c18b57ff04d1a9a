"""Wrong input of every command is answered by a diagnostic: the handler of exit code 4 is for bugs.

Each command that takes a path, a run or a value is given names that no file has, what is no file, and files whose
content is broken; then the disks of the run are taken away.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CliHere, unrecorded
from tests.files.odd_paths import laid_out
from tests.files.test_named import in_seconds

SPEC = """version: 1
name: odd
data: {csv: {files: rows.csv, target: y}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 2}
tracking: {wait_seconds: 0}
"""
ROWS = "x,y\n1,2\n2,4\n3,6\n4,8\n"

PATHS = {
    "a NUL": "nu\0ll",
    "5,000 characters": "x" * 5000,
    "5,000 characters in folders": "abc/" * 1250 + "x",
    "a long name": "x" * 300,
    "a link to itself": "strange/circle",
    "a file in a link to itself": "strange/circle/x",
    "two links in a circle": "strange/ring",
    "a pipe": "strange/pipe",
    "a socket": "strange/socket",
    "an endless device": "/dev/zero",
    "a folder": "strange",
    "nothing": "nothing",
    "a file as a folder": "rows.csv/x",
    "no text": os.fsdecode(b"no\xff\xfetext"),
    "nothing at all": "",
    "a line break": "a\nb",
}
ENDED = {f"{what}, as a {ending}": f"{path}.{ending}" for what, path in PATHS.items() for ending in ("csv", "npz")}

OF_SPECS = ("run PATH", "validate PATH", "validate --untrusted PATH", "plan PATH", "data PATH", "lr PATH")
OF_SPECS += ("sweep PATH --seeds 2", "schema PATH", "schema --install PATH", "schema --untrusted --install PATH")
OF_RUNS = ("resume PATH", "sync PATH", "compare PATH --last 2", "best PATH", "predict PATH rows.csv", "evaluate PATH rows.csv")
OF_DATA = ("predict --last PATH", "evaluate --last PATH")
OF_OUTPUT = ("predict --last rows.csv -o PATH", "data spec.yaml -o PATH", "lr spec.yaml --steps 10 --figure PATH")
OTHERS = ("list --plugin PATH", "show csv --plugin PATH", "schema --plugin PATH", "explain PATH", "show PATH")
OTHERS += ("run spec.yaml --tracking-uri sqlite:///PATH", "completion PATH")
OTHERS += ("sweep spec.yaml --seeds 2 --dry-run --storage sqlite:///PATH", "validate spec.yaml --device PATH")
VALUES = ("name=PATH", "data.csv.files=PATH", "data.split.val_rows=PATH", "plugins+=PATH", "extends=PATH", "PATH=1")
VALUES += ("tracking.uri=PATH", "description=PATH", "model.0.Linear.bias=PATH", "data.csv.target=PATH")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run, and a folder of everything that is odd."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "rows.csv").write_text(ROWS)
    (folder / "spec.yaml").write_text(SPEC)
    laid_out(folder)
    here = Path.cwd()
    os.chdir(folder)
    try:
        with unrecorded():
            from annpipe.launch import run

            assert run("spec.yaml").status == "FINISHED"
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def mine(project: Path, tmp_path: Path) -> Path:
    """A copy of the project in the test's own folder, where the commands are called."""
    shutil.copytree(project / "runs", tmp_path / "runs")
    for name in ("rows.csv", "spec.yaml"):
        shutil.copy(project / name, tmp_path / name)
    laid_out(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with unrecorded():
        yield


def check(annpipe_here: CliHere, words: list[str], *, allowed: tuple[int, ...] = (1, 2, 3, 5)) -> str:
    """The command has a diagnostic, at once, and neither a traceback nor the words of a bug."""
    with in_seconds(60):
        code, out, err = annpipe_here(*words)
    assert code in allowed, (words, code, out, err)
    assert "Traceback" not in out + err, (words, err)
    assert "bug in annpipe" not in err, words
    return err


def walk(annpipe_here: CliHere, command: str, paths: dict[str, str], *, allowed: tuple[int, ...] = (1, 2, 3, 5)) -> None:
    for path in paths.values():
        check(annpipe_here, [word.replace("PATH", path) for word in command.split()], allowed=allowed)


@pytest.mark.parametrize("command", OF_SPECS)
def test_a_spec_that_is_none(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, PATHS, allowed=(0, 2, 3) if command.startswith("schema") else (2, 3))


@pytest.mark.parametrize("command", OF_RUNS)
def test_a_run_that_is_none(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, PATHS)


@pytest.mark.parametrize("command", OF_DATA)
def test_data_that_are_none(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, {**PATHS, **ENDED}, allowed=(2, 3))


@pytest.mark.parametrize("command", OF_OUTPUT)
def test_an_output_that_cannot_be_written(command: str, mine: Path, annpipe_here: CliHere) -> None:
    ending = ".csv" if command.startswith("predict") else ".svg"
    paths = {what: path + ending for what, path in PATHS.items()}
    writable = ("nothing", "no text", "nothing at all", "a line break")
    walk(annpipe_here, command, {what: path for what, path in paths.items() if what not in writable}, allowed=(0, 1, 2, 3))
    walk(annpipe_here, command, {"a file as a folder": f"rows.csv/x{ending}"}, allowed=(1, 2, 3))


@pytest.mark.parametrize("command", OTHERS)
def test_other_options(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, PATHS, allowed=(0, 1, 2, 3, 5))


@pytest.mark.parametrize("value", VALUES)
def test_values_of_the_command_line(value: str, mine: Path, annpipe_here: CliHere) -> None:
    for path in PATHS.values():
        check(annpipe_here, ["validate", "spec.yaml", "--set", value.replace("PATH", path)], allowed=(0, 2, 3))
        check(annpipe_here, ["validate", "spec.yaml", "--unset", path], allowed=(0, 2, 3))
