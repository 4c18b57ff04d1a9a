"""The data component `npz`: arrays of a NumPy archive, by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from annpipe import Field, OptionError, Registry
from annpipe.draft.options import Resolving
from annpipe.spec import load_spec
from annpipe_std.archive import npz_fields
from annpipe_std.npz import npz

Cli = Callable[..., tuple[int, str, str]]

ARRAYS: dict[str, Any] = {
    "x": np.array([0.5, 1.5, 2.5, 3.5], dtype=np.float32),
    "n": np.array([3, 1, 2, 0], dtype=np.uint8),
    "X": np.arange(16, dtype=np.uint8).reshape(4, 1, 2, 2),
    "y": np.array([1, 0, 2, 1]),
    "pair": np.ones((4, 2)),
    "gap": np.array([0, 2, 3, 2]),
    "negative": np.array([0, -1, 1, 1]),
    "short": np.zeros(3),
    "hole": np.array([0, np.nan, 1, np.inf]),
    "words": np.array(["a", "b", "c", "d"]),
    "number": np.array(3.0),
    "empty": np.zeros(0),
}


class Evil:
    """Unpickled, it would leave a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive with arrays of every sort."""
    file = tmp_path / "rows.npz"
    np.savez(file, **ARRAYS)
    return file


def test_arrays_become_columns_in_double_precision(archive: Path) -> None:
    """Whatever numbers they were; `fields` tells the same without torch."""
    rows = npz(file=archive, inputs=["x", "n"], targets=["y"])
    assert rows.inputs["x"].tolist() == ARRAYS["x"].tolist()
    assert rows.inputs["n"].tolist() == [3, 1, 2, 0]
    assert rows.targets["y"].tolist() == [1, 0, 2, 1]
    assert {tensor.dtype for tensor in (*rows.inputs.values(), *rows.targets.values())} == {torch.float64}
    fields = npz_fields(file=archive, inputs=["x", "n"], targets=["y"])
    assert (fields.inputs, fields.targets, fields.rows) == ({"x": Field(), "n": Field()}, {"y": Field()}, 4)


def test_an_array_can_have_a_name_of_the_spec_and_any_shape(archive: Path) -> None:
    """One input of images."""
    rows = npz(file=archive, inputs={"image": "X"}, targets={"twice": "pair"})
    assert rows.inputs["image"].shape == (4, 1, 2, 2)
    assert torch.equal(rows.inputs["image"], torch.arange(16.0, dtype=torch.float64).reshape(4, 1, 2, 2))
    fields = npz_fields(file=archive, inputs={"image": "X"}, targets={"twice": "pair"})
    assert (fields.inputs, fields.targets) == ({"image": Field((1, 2, 2))}, {"twice": Field((2,))})


def test_targets_are_labels_and_inputs_tokens_when_asked(archive: Path) -> None:
    """Both are int64; labels have as many classes as there are."""
    options: dict[str, Any] = {"inputs": ["n"], "targets": ["y"], "labels": True, "tokens": True}
    rows = npz(file=archive, **options)
    assert rows.targets["y"].dtype == rows.inputs["n"].dtype == torch.int64
    fields = npz_fields(file=archive, **options)
    assert fields.targets == {"y": Field(dtype="int", classes=3)}
    assert fields.inputs == {"n": Field(dtype="int")}


@pytest.mark.parametrize(
    ("change", "option", "message"),
    [
        ({"inputs": ["xs"]}, "inputs.xs", "has no array 'xs'"),
        ({"inputs": {"image": "XX"}}, "inputs.image", "has no array 'XX'"),
        ({"inputs": []}, "inputs", "names no column"),
        ({"targets": ["x"]}, "targets", "'x' is an input already"),
        ({"targets": ["short"]}, "targets.short", "has 3 rows; 'inputs.x' has 4"),
        ({"targets": ["number"]}, "targets.number", "has no rows"),
        ({"inputs": ["empty"]}, "inputs.empty", "has no rows"),
        ({"targets": ["y", "X"]}, "targets.X", "cannot be joined with other targets"),
        ({"tokens": ["m"]}, "tokens", "there is no column 'm'"),
        ({"tokens": ["x"]}, "inputs.x", "not whole numbers, which tokens must be"),
        ({"inputs": ["hole"]}, "inputs.hole", "is nan in row 1, and 2 of its values are not finite"),
        ({"inputs": ["words"]}, "inputs.words", "holds <U1, not numbers"),
        ({"tokens": True}, "inputs.x", "not whole numbers, which tokens must be"),
        ({"targets": {"y": "x"}, "inputs": ["n"], "labels": True}, "targets.y", "which labels must be"),
        ({"targets": ["gap"], "labels": True}, "targets.gap", "has labels up to 3, and none of its rows has 1"),
        ({"targets": ["negative"], "labels": True}, "targets.negative", "has the label -1"),
        ({"file": "rows.np"}, "file", "there is no file 'rows.np'"),
        ({"file": "long" * 100 + "/rows.npz"}, "file", "there is no file 'longlong"),
        ({"file": "null\0/rows.npz"}, "file", "there is no file"),
        ({"file": "/dev/zero"}, "file", "'/dev/zero' is a device, not a file"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_option(
    archive: Path, change: dict[str, Any], option: str, message: str
) -> None:
    """Before any training; in the component and in `fields` alike."""
    options = {"file": archive, "inputs": ["x"], "targets": ["y"]} | change
    for ask in (npz, npz_fields):
        with pytest.raises(OptionError, match=message) as caught:
            ask(**options)
        assert caught.value.option == option
        assert caught.value.help


def test_the_nearest_names_are_suggested(archive: Path) -> None:
    """Of arrays and of files."""
    with pytest.raises(OptionError) as caught:
        npz(file=archive, inputs=["pairs"], targets=["y"])
    assert caught.value.help == "did you mean 'pair'?"
    with pytest.raises(OptionError) as caught:
        npz(file=archive.with_name("row.npz"), inputs=["x"], targets=["y"])
    assert caught.value.help == "did you mean 'rows.npz'?"


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    """Neither out of an archive nor out of a file that is one pickle."""
    trace, file = tmp_path / "trace", tmp_path / "rows.npz"
    evil = np.array([Evil(trace)], dtype=object)
    np.savez(file, x=evil, y=np.zeros(1))
    with pytest.raises(OptionError, match="'x' holds Python objects, which are never read"):
        npz(file=file, inputs=["x"], targets=["y"])
    alone = tmp_path / "alone.npz"
    alone.write_bytes(evil.dumps())
    with pytest.raises(OptionError, match="is not an archive of NumPy arrays"):
        npz(file=alone, inputs=["x"], targets=["y"])
    assert not trace.exists()
    evil_is_evil = np.load(file, allow_pickle=True)["x"]
    assert trace.exists()
    assert evil_is_evil is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is not an archive"), (b"x,y\n1,2\n", "is not an archive"), (b"PK\x03\x04", "is not an archive")],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Empty, text, and the beginning of an archive."""
    file = tmp_path / "rows.npz"
    file.write_bytes(content)
    with pytest.raises(OptionError, match=message):
        npz(file=file, inputs=["x"], targets=["y"])


def test_a_lone_array_and_a_damaged_one_are_refused(archive: Path, tmp_path: Path) -> None:
    """`numpy.save` writes no archive; a flipped byte is noticed."""
    np.save(tmp_path / "x.npy", ARRAYS["x"])
    with pytest.raises(OptionError, match="holds one array without a name"):
        npz(file=tmp_path / "x.npy", inputs=["x"], targets=["y"])
    content = bytearray(archive.read_bytes())
    content[content.index(ARRAYS["x"].tobytes())] ^= 1
    archive.write_bytes(content)
    with pytest.raises(OptionError, match="the array 'x' cannot be read") as caught:
        npz(file=archive, inputs=["x"], targets=["y"])
    assert caught.value.option == "file"


SPEC = """\
version: 1
name: rows
data: {npz: {file: %s, inputs: [x, n], targets: [y]}}
model: [Linear: 1]
loss: L1Loss
optimizer: SGD
train: {epochs: 1}
"""


def test_a_path_is_relative_to_the_spec_that_says_it(archive: Path, annpipe_here: Cli, tmp_path: Path) -> None:
    """Wherever the command is typed; in the plan it is absolute, so that the plan finds the file anywhere."""
    folder = tmp_path / "deep" / "specs"
    folder.mkdir(parents=True)
    spec, extending = folder / "rows.yaml", tmp_path / "deep" / "more.yaml"
    spec.write_text(SPEC % "../../rows.npz")
    extending.write_text("extends: specs/rows.yaml\nname: more\n")
    for file in (spec, extending):
        code, out, err = annpipe_here("plan", file, "--yaml")
        assert code == 0, err
        assert yaml.safe_load(out)["data"]["npz"]["file"] == str(archive)


def test_a_path_in_the_command_line_is_relative_to_the_working_directory(
    archive: Path, annpipe_here: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is the home folder."""
    folder = tmp_path / "specs"
    folder.mkdir()
    spec = folder / "rows.yaml"
    spec.write_text(SPEC % "nowhere.npz")
    monkeypatch.setenv("HOME", str(tmp_path))
    for written in ("rows.npz", "~/rows.npz"):
        code, out, err = annpipe_here("plan", spec, "--yaml", "--set", f"data.npz.file={written}")
        assert code == 0, err
        assert yaml.safe_load(out)["data"]["npz"]["file"] == str(archive)


def test_a_missing_file_is_marked_in_the_spec(annpipe_here: Cli, tmp_path: Path) -> None:
    """At the path, which is said in full."""
    spec = tmp_path / "rows.yaml"
    spec.write_text(SPEC % "nowhere.npz")
    code, _, err = annpipe_here("validate", spec)
    assert code == 3
    assert f"`npz.file`: there is no file '{tmp_path / 'nowhere.npz'}'" in err
    assert "rows.yaml:3:20" in err


@pytest.mark.parametrize("written", ["../rows.npz", "link.npz", "/etc/hostname", "~/rows.npz"])
def test_a_file_outside_the_folder_of_an_untrusted_spec_is_refused(
    archive: Path, tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through no link either; what the command line says is the user's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "link.npz").symlink_to(archive)
    spec = folder / "rows.yaml"
    spec.write_text(SPEC % written)
    resolving = Resolving(Registry.installed(), within=folder)
    resolving.component(load_spec(spec).data, "data")
    (problem,) = resolving.problems
    assert problem.message == f"the file '{written}' lies outside the folder of an untrusted spec"
    assert (problem.place and problem.place.line, problem.help) == (3, "move it beside the spec")
    own = Resolving(Registry.installed(), within=folder)
    own.component(load_spec(spec, [f"data.npz.file={archive}"]).data, "data")
    assert not own.problems


def test_a_run_from_an_archive_ends(archive: Path, annpipe_here: Cli, tmp_path: Path) -> None:
    """And its own plan resolves to the same plan from its folder."""
    spec = tmp_path / "rows.yaml"
    spec.write_text(SPEC % "./rows.npz" + "tracking: {wait_seconds: 0}\n")
    code, _, err = annpipe_here("run", spec)
    assert code == 0, err
    (plan,) = (tmp_path / "runs").glob("*/plan.yaml")
    code, out, err = annpipe_here("plan", plan, "--yaml")
    assert code == 0, err
    assert yaml.safe_load(out)["data"] == yaml.safe_load(plan.read_text())["data"]
