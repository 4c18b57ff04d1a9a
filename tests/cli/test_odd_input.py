"""Wrong input of every command is answered by a diagnostic: the handler of exit code 4 is for bugs.

Each command that takes a path, a run or a value is given names that no file has, what is no file, and files whose
content is broken; then the disks of the run are taken away.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from annpipe.files.whole import write_sums
from tests.conftest import CliHere, in_seconds, unrecorded
from tests.files.odd_paths import laid_out
from tests.sampling import sample

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
FEW = {what: PATHS[what] for what in ("a NUL", "a long name", "a file in a link to itself", "a file as a folder")}
ENDED = {f"{what}, as a {ending}": f"{path}.{ending}" for what, path in PATHS.items() for ending in ("csv", "npz")}

OF_SPECS = ("run PATH", "validate PATH", "validate --untrusted PATH", "plan PATH", "data PATH", "lr PATH")
OF_SPECS += ("sweep PATH --seeds 2", "schema PATH", "schema --install PATH", "schema --untrusted --install PATH")
OF_RUNS = (
    "resume PATH",
    "sync PATH",
    "compare PATH --last 2",
    "best PATH",
    "predict PATH rows.csv",
    "evaluate PATH rows.csv",
)
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
            from annpipe.runs.launch import run

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


def walk(
    annpipe_here: CliHere, command: str, paths: dict[str, str], *, allowed: tuple[int, ...] = (1, 2, 3, 5)
) -> None:
    for path in paths.values():
        check(annpipe_here, [word.replace("PATH", path) for word in command.split()], allowed=allowed)


@pytest.mark.slow
@pytest.mark.parametrize("command", OF_SPECS)
def test_a_spec_that_is_none(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, PATHS, allowed=(0, 2, 3) if command.startswith("schema") else (2, 3))


@pytest.mark.parametrize("command", OF_RUNS)
def test_a_run_that_is_none(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, PATHS)


@pytest.mark.slow
@pytest.mark.parametrize("command", OF_DATA)
def test_data_that_are_none(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, {**PATHS, **ENDED}, allowed=(2, 3))


@pytest.mark.parametrize("command", OF_OUTPUT)
def test_an_output_that_cannot_be_written(command: str, mine: Path, annpipe_here: CliHere) -> None:
    is_quick = command.startswith("predict")
    ending = ".csv" if is_quick else ".svg"
    paths = {what: path + ending for what, path in (PATHS if is_quick else FEW).items()}
    writable = ("nothing", "no text", "nothing at all", "a line break")
    walk(
        annpipe_here,
        command,
        {what: path for what, path in paths.items() if what not in writable},
        allowed=(0, 1, 2, 3),
    )
    walk(annpipe_here, command, {"a file as a folder": f"rows.csv/x{ending}"}, allowed=(1, 2, 3))


@pytest.mark.parametrize("command", sample(OTHERS, 3))
def test_other_options(command: str, mine: Path, annpipe_here: CliHere) -> None:
    walk(annpipe_here, command, FEW if "sqlite" in command else PATHS, allowed=(0, 1, 2, 3, 5))


@pytest.mark.parametrize("value", sample(VALUES, 3))
def test_values_of_the_command_line(value: str, mine: Path, annpipe_here: CliHere) -> None:
    for path in PATHS.values():
        check(annpipe_here, ["validate", "spec.yaml", "--set", value.replace("PATH", path)], allowed=(0, 2, 3))
        check(annpipe_here, ["validate", "spec.yaml", "--unset", path], allowed=(0, 2, 3))


# --- files whose content is broken


def npy(shape: tuple[int, ...], data: bytes, descr: str = "<f8") -> bytes:
    """An array as NumPy writes it, whose head may say what is not so."""
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def archive(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)


def broken_archives(folder: Path) -> Iterator[Path]:
    whole = np.arange(4.0).tobytes()
    heads = {
        "trillion": npy((10**12,), whole),
        "beyond": npy((2**62, 2**62), whole),
        "negative": npy((-1,), whole),
        "fewer": npy((3,), whole),
        "more": npy((5,), whole),
        "objects": npy((1,), b"cos\nsystem\n(S'touch here'\ntR.", "|O"),
        "records": npy((1,), whole, "[('a', '<f8')]"),
        "no type": npy((4,), whole, "<q9"),
        "a version of its own": b"\x93NUMPY\x09\x00" + npy((4,), whole)[8:],
        "no head": b"\x93NUMPY\x01\x00\xff\xff{",
        "words": b"these are words",
        "empty": b"",
    }
    for what, data in heads.items():
        archive(folder / f"{what}.npz", x=data, y=npy((4,), whole))
        yield folder / f"{what}.npz"
    archive(folder / "whole.npz", x=npy((4,), whole), y=npy((4,), whole))
    data = (folder / "whole.npz").read_bytes()
    for place in range(0, len(data), max(1, len(data) // 12)):
        path = folder / f"flipped{place}.npz"
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :])
        yield path
    (folder / "cut.npz").write_bytes(data[: len(data) // 2])
    yield folder / "cut.npz"


def broken_tables(folder: Path) -> Iterator[Path]:
    import pyarrow as pa
    from pyarrow import parquet

    texts = {
        "header": b"x,na\xefve,y\n1,2,3\n2,3,4\n",
        "header of the target": b"x,\xff\n1,2\n",
        "cells": b"x,y\n1,na\xefve\n2,caf\xe9\n3,na\xefve\n",
        "utf-16": "x,y\n1,2\n".encode("utf-16"),
        "nul": b"x,y\n1,\x002\n2,3\n",
        "quotes": b'x,y\n"1,2\n3,4\n',
        "ragged": b"x,y\n1,2,3\n4\n",
        "no rows": b"x,y\n",
        "blank": b"\n\n\n",
        "bytes": bytes(range(256)) * 4,
        "long digits": b"x,y\n" + b"9" * 5000 + b",1\n1,2\n",
        "gzip.csv.gz": b"\x1f\x8b these are no bytes of gzip",
    }
    for what, data in texts.items():
        path = folder / (what if "." in what else f"{what}.csv")
        path.write_bytes(data)
        yield path
    parquet.write_table(pa.table({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]}), folder / "whole.parquet")
    data = (folder / "whole.parquet").read_bytes()
    for place in range(0, len(data), max(1, len(data) // 25)):
        path = folder / f"flipped{place}.parquet"
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xA5]) + data[place + 1 :])
        yield path
    (folder / "words.parquet").write_bytes(b"these are words, and not a table")
    yield folder / "words.parquet"


def data_of(path: Path) -> str:
    if path.suffix == ".npz":
        return f"{{npz: {{file: '{path.name}', inputs: [x], targets: [y]}}}}"
    return f"{{{'parquet' if path.suffix == '.parquet' else 'csv'}: {{files: '{path.name}', target: y, FORM}}}}"


@pytest.mark.slow
@pytest.mark.parametrize("untrusted", [False, True], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("broken", [broken_archives, broken_tables])
def test_broken_data_of_a_spec(
    broken: Callable[[Path], Iterator[Path]], untrusted: bool, mine: Path, annpipe_here: CliHere
) -> None:
    """What can be read is read; of anything else the fault is told."""
    specs = []
    for path in broken(mine):
        for form in ("in_memory: true", "in_memory: false"):
            spec = mine / f"broken{len(specs)}.yaml"
            data = data_of(path).replace("FORM", form)
            spec.write_text(SPEC.replace("{csv: {files: rows.csv, target: y}}", data), encoding="utf-8")
            specs.append(spec)
    flags = ["--untrusted"] if untrusted else []
    check(annpipe_here, ["validate", *flags, *map(str, specs)], allowed=(3,))
    for spec in specs[:: 1 if not untrusted else 10]:
        check(annpipe_here, ["data", str(spec)], allowed=(0, 3))


@pytest.mark.slow
@pytest.mark.parametrize("broken", [broken_archives, broken_tables])
def test_broken_rows_for_a_model(broken: Callable[[Path], Iterator[Path]], mine: Path, annpipe_here: CliHere) -> None:
    for path in broken(mine):
        check(annpipe_here, ["predict", "--last", str(path)], allowed=(0, 2, 3))
        check(annpipe_here, ["evaluate", "--last", str(path)], allowed=(0, 2, 3))


def test_an_archive_that_says_it_has_a_trillion_rows_is_told(mine: Path, annpipe_here: CliHere) -> None:
    archive(mine / "rows.npz", x=npy((10**12,), b""), y=npy((4,), np.arange(4.0).tobytes()))
    (mine / "spec.yaml").write_text(SPEC.replace("{csv: {files: rows.csv, target: y}}", data_of(mine / "rows.npz")))
    err = check(annpipe_here, ["run", "spec.yaml"], allowed=(3,))
    assert "the array 'x' has the shape (1,000,000,000,000,) in its header" in err


def test_a_chain_of_two_thousand_specs_is_refused(mine: Path, annpipe_here: CliHere) -> None:
    for number in range(2000):
        (mine / f"chain{number}.yaml").write_text(f"extends: chain{number + 1}.yaml\n")
    (mine / "chain2000.yaml").write_text(SPEC)
    for flags in ([], ["--untrusted"]):
        err = check(annpipe_here, ["validate", *flags, "chain0.yaml"], allowed=(3,))
        assert "where an untrusted spec may have 16" in err if flags else "more than 64 specs" in err
    assert annpipe_here("validate", "chain1990.yaml")[0] == 0


# --- a run folder that is broken

DAMAGE = {
    "words": lambda data: b"these are words",
    "nothing": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "a head of 2**60 bytes": lambda data: struct.pack("<Q", 2**60) + data[8:],
    "a head that is no JSON": lambda data: data[:9] + b"\xff" * 8 + data[17:],
    "an empty object": lambda data: b"{}",
    "a list": lambda data: b"[1, 2]",
    "nested": lambda data: b"[" * 100_000,
}


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("file", ["model/weights.safetensors", "model/model.json", "model/network.py", "plan.yaml"])
def test_a_saved_model_that_is_broken(file: str, what: str, mine: Path, annpipe_here: CliHere) -> None:
    (run,) = (mine / "runs").iterdir()
    (run / file).write_bytes(DAMAGE[what]((run / file).read_bytes()))
    for command in ("predict", "evaluate"):
        check(annpipe_here, [command, "--last", "rows.csv"], allowed=(0, 1, 2, 3))
    check(annpipe_here, ["compare", "--last", "2"], allowed=(2,))


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("inputs", "name", 0),
        ("inputs", "name", None),
        ("inputs", "shape", "x"),
        ("inputs", "categories", [1]),
        ("targets", "name", [["y"]]),
        ("targets", "span", [0]),
        ("targets", "labels", True),
        ("targets", "classes", "ab"),
        ("targets", "classes", [None]),
    ],
)
def test_a_description_of_other_types(part: str, key: str, value: object, mine: Path, annpipe_here: CliHere) -> None:
    """A model.json that fits its sums, and says what no model does."""
    (run,) = (mine / "runs").iterdir()
    file = run / "model" / "model.json"
    found = json.loads(file.read_text())
    found[part][0][key] = value
    file.write_text(json.dumps(found))
    write_sums(file.parent)
    for command in ("predict", "evaluate"):
        err = check(annpipe_here, [command, "--last", "rows.csv", "--trust"], allowed=(3,))
        assert "model.json" in err or "cannot be loaded" in err


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize(
    "file", ["checkpoints/last/state.safetensors", "checkpoints/last/state.json", "plan.yaml", "journal.jsonl"]
)
def test_a_checkpoint_that_is_broken(file: str, what: str, mine: Path, annpipe_here: CliHere) -> None:
    (run,) = (mine / "runs").iterdir()
    if file != "journal.jsonl":
        unfinished(run)
    if file == "journal.jsonl" and what == "nested":
        pytest.skip("the lines of a journal are checked in tests/record")
    (run / file).write_bytes(DAMAGE[what]((run / file).read_bytes()))
    check(annpipe_here, ["resume", "--last", "--trust"], allowed=(0, 1, 2, 3) if file == "journal.jsonl" else (1, 3))
    for command in (["runs"], ["compare", "--last", "2"], ["best", "--last"]):
        check(annpipe_here, command, allowed=(0, 1, 2, 3))


def unfinished(run: Path) -> None:
    """The run without the end of its journal, as a kill leaves it."""
    lines = (run / "journal.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line).get("event", json.loads(line).get("type")) != "end"]
    (run / "journal.jsonl").write_text("\n".join(kept) + "\n")


# --- disks that refuse

WRITING = (
    *(
        "run spec.yaml",
        "sweep spec.yaml --seeds 2",
        "lr spec.yaml --steps 10",
        "lr spec.yaml --steps 10 --figure a/b.png",
    ),
    *("data spec.yaml -o figure.svg", "schema --install spec.yaml", "predict --last rows.csv -o answers.csv"),
    *(
        "predict --last rows.csv -o answers.parquet",
        "predict --last rows.csv -o answers.npz",
        "evaluate --last rows.csv",
    ),
    *("resume --last", "best --last"),
)


@pytest.mark.slow
@pytest.mark.parametrize("command", sample(WRITING, 3))
def test_a_disk_that_takes_no_more(command: str, mine: Path, annpipe_here: CliHere) -> None:
    """Files may not grow beyond some bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    if command == "resume --last":
        (run,) = (mine / "runs").iterdir()
        unfinished(run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (0, 600):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            check(annpipe_here, command.split(), allowed=(0, 1, 2, 3))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False], ids=["full", "read-only"])
def test_a_disk_that_is_full_or_read_only(full: bool, mine: Path, annpipe_here: CliHere) -> None:
    """The disk is one of the memory's; the command says what is wrong with it, and what to do."""
    disk = mine / "disk"
    disk.mkdir()
    options = "size=64k" if full else "size=4m"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("whoever runs this may not mount a disk")
    try:
        for name in ("rows.csv", "spec.yaml"):
            shutil.copy(mine / name, disk / name)
        shutil.copytree(mine / "runs", mine / "kept")
        if full:
            with contextlib.suppress(OSError), (disk / "filler").open("wb") as file:
                while True:
                    file.write(b"x" * 4096)
                    file.flush()
        else:
            shutil.copytree(mine / "runs", disk / "runs")
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        word = "No space left" if full else "Read-only"
        for command in (
            "run spec.yaml",
            "sweep spec.yaml --seeds 2",
            "lr spec.yaml --steps 10",
            "data spec.yaml -o a.svg",
        ):
            err = check(lambda *words: _there(annpipe_here, disk, words), command.split(), allowed=(1, 3))
            assert word in err, (command, err)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def _there(annpipe_here: CliHere, folder: Path, words: tuple[str | Path, ...]) -> tuple[int, str, str]:
    """The command in another folder: `annpipe_here` goes to the project's own."""
    true = os.chdir
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "chdir", lambda _: true(folder))
        return annpipe_here(*words)


def test_a_working_directory_that_is_gone(mine: Path, annpipe_here: CliHere) -> None:
    gone = mine / "gone"
    gone.mkdir()

    def there(*words: str | Path) -> tuple[int, str, str]:
        gone.mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            true = os.chdir
            patch.setattr(os, "chdir", lambda _: (true(gone), gone.rmdir()))
            try:
                return annpipe_here(*words)
            finally:
                true(mine)

    for command in ("run spec.yaml", "validate spec.yaml", "runs", "sync", "schema", "list layer"):
        assert "the working directory was deleted" in check(there, command.split(), allowed=(2,))
