"""`annpipe inspect`: what it shows unasked, its files, names that would steer a terminal, models of other kinds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from annpipe.errors import text_width
from tests.conftest import CliHere, unrecorded

HOSTILE = "a\x1b[31m<b>"
TABLE = """
version: 1
name: odd
device: {type: cpu, threads: 1}
data:
  csv: {files: rows.csv, target: [kind, size]}
  transforms: {number: standardize, category: one_hot, size: standardize}
model:
  layers: [Linear: 4, ReLU]
  outputs:
    kind: {layers: [Linear: 2], loss: CrossEntropyLoss, metrics: [Accuracy]}
    size: {layers: [Linear: 1], loss: MSELoss}
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 10}
plots: []
"""
IMAGES = """
version: 1
name: images
device: {type: cpu, threads: 1}
data: {npz: {file: images.npz, inputs: [image], targets: [bright]}}
model: [Conv2d: [2, 3], ReLU, Flatten, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.02}}
train: {epochs: 3}
plots: []
"""


@pytest.fixture
def odd(tmp_path: Path, annpipe_here: CliHere) -> CliHere:
    """A run of two heads, one of whose columns has a name that would steer a terminal."""
    random = np.random.default_rng(1)
    with open(tmp_path / "rows.csv", "w", encoding="utf-8", newline="\n") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([HOSTILE, "place", "kind", "size"])
        for number in random.normal(size=40).round(3):
            writer.writerow([number, random.choice(["in", "out"]), "ab"[int(number > 0)], 100 * number])
    (tmp_path / "spec.yaml").write_text(TABLE, encoding="utf-8")
    with unrecorded():
        assert annpipe_here("run", "spec.yaml")[0] == 0
    return annpipe_here


@pytest.mark.slow
def test_names_are_escaped_and_lines_fit(odd: CliHere, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 60 columns and on 140, with every section; a head's metric has a name."""
    sections = ["--units", "--gradients", "--row", "1", "--dependence", HOSTILE, "--dependence", "place"]
    sections += ["--metric", "kind/accuracy", "--attributions", "saliency"]
    for width in (60, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        code, printed, said = odd("inspect", "odd", *sections)
        assert code == 0, said
        assert "\x1b" not in printed
        assert "a\\u001b[31m<b>" in printed
        assert max(map(text_width, printed.splitlines())) <= width
        for words in ("importance: how much kind/accuracy falls", "kind_b", "HeadLosses", "attributions of size"):
            assert words in " ".join(printed.split())


@pytest.mark.slow
def test_the_folder_has_tables_and_figures(odd: CliHere, tmp_path: Path) -> None:
    """It is new, or one that was written before and may be replaced; files have no odd names."""
    sections = ["--importance", "--units", "--gradients", "--row", "2", "--dependence", HOSTILE]
    code, printed, said = odd("inspect", "odd", *sections, "--json", "-o", "made/inside")
    assert code == 0, said
    folder = tmp_path / "made" / "inside"
    assert json.loads((folder / "inspect.json").read_text(encoding="utf-8")) == json.loads(printed)
    names = {path.name for path in folder.iterdir()}
    assert {"importance.csv", "importance.svg", "units.csv", "gradients.csv", "gradients.svg", "row_2.npz"} <= names
    (ice,) = (name for name in names if name.startswith("ice_"))
    with open(folder / ice, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + 2 * 40  # the probability of b and the size, of each row
    with np.load(folder / "row_2.npz") as arrays:
        assert arrays["0.d(weight)"].shape == (4, 3)
    with open(folder / "importance.csv", encoding="utf-8", newline="") as file:
        assert next(row["column"] for row in csv.DictReader(file)) == HOSTILE
    assert all("\x1b" not in name and "<" not in name for name in names)
    code, _, said = odd("inspect", "odd", "--units", "-o", "made/inside")
    assert code == 2
    assert "--force" in said
    assert odd("inspect", "odd", "--units", "-o", "made/inside", "--force")[0] == 0
    assert not (folder / "importance.csv").exists()
    code, _, said = odd("inspect", "odd", "--units", "-o", "made", "--force")
    assert code == 2
    assert "no folder of `annpipe inspect`" in said


@pytest.mark.slow
def test_an_image_is_looked_at_by_its_positions(tmp_path: Path, annpipe_here: CliHere) -> None:
    """Unasked, importance is left out with the reason; asked for, it is refused."""
    images = np.random.default_rng(2).normal(size=(20, 1, 5, 5))
    np.savez(tmp_path / "images.npz", image=images, bright=images.mean((1, 2, 3)))
    (tmp_path / "spec.yaml").write_text(IMAGES, encoding="utf-8")
    with unrecorded():
        assert annpipe_here("run", "spec.yaml")[0] == 0
    code, printed, said = annpipe_here("inspect", "images")
    assert code == 0, said
    assert "importance: left out, since the model takes one input 'image'" in " ".join(printed.split())
    assert annpipe_here("inspect", "images", "--importance")[0] == 3
    assert annpipe_here("inspect", "images", "--dependence", "image")[0] == 3
    code, printed, said = annpipe_here("inspect", "images", "images.npz", "--attributions", "deep_lift", "--json")
    assert code == 0, said
    assert json.loads(printed)["attributions"][0]["mean"]["shape"] == [1, 5, 5]


def test_a_run_of_others_is_not_looked_into(odd: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on its own rows nor on a file's, unless it is trusted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    for data in ([], ["rows.csv"]):
        code, _, said = odd("inspect", "odd", *data)
        assert code == 2
        assert "--trust" in said
    assert odd("inspect", "odd", "rows.csv", "--units", "--trust")[0] == 0


def test_what_to_look_at_is_said(annpipe_here: CliHere) -> None:
    assert annpipe_here("inspect")[0] == 2
    assert annpipe_here("inspect", "a", "b", "c")[0] == 2
    code, _, said = annpipe_here("inspect", "nothing")
    assert code == 2
    assert "there are no runs" in said
