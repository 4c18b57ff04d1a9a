"""`annpipe plan`: for a person, and where each value comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CliHere

BASE = """\
version: 1
name: base
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 3]}}}
model: [Linear: 10, ReLU, Linear: 1]
loss: L1Loss
optimizer: {Adam: {lr: 0.1}}
train: {epochs: 5}
"""
MINE = """\
extends: base.yaml
name: mine
variables: {width: 32}
model:
  - Linear: ${width}
  - ReLU
  - Linear: 1
"""


def rows(annpipe_here: CliHere, *options: str) -> dict[str, tuple[object, str, str]]:
    code, out, said = annpipe_here("plan", "mine.yaml", "--origin", "--json", *options)
    assert code == 0, said
    return {row["path"]: (row["value"], row["source"], row["where"]) for row in json.loads(out)}


def test_origin_tells_what_gave_each_value(annpipe_here: CliHere, tmp_path: Path) -> None:
    """A file and line, a variable, an override, a default, the shape, or annpipe itself."""
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")
    found = rows(annpipe_here, "--set", "train.epochs=7", "--set", "model.0.Linear.bias=false", "--device", "cpu")
    assert found["name"] == ("mine", "spec", "mine.yaml:2:7")
    assert found["optimizer.Adam.lr"] == (0.1, "spec", "base.yaml:6:24")
    assert found["optimizer.Adam.fused"] == (True, "annpipe", "chosen by annpipe")
    assert found["model.0.Linear.out_features"] == (32, "spec", "mine.yaml:3:20, used at mine.yaml:5:13")
    assert found["model.0.Linear.in_features"] == (1, "shape", "from the shape")
    assert found["model.0.Linear.bias"] == (False, "override", "--set model.0.Linear.bias=false")
    assert found["model.2.Linear.bias"] == (True, "default", "default")
    assert found["train.epochs"] == (7, "override", "--set train.epochs=7")
    assert found["device.type"] == ("cpu", "override", "--device cpu")
    assert found["data.table.inputs.x"] == ([0, 1], "spec", "base.yaml:3:28")


def test_origin_has_every_value_of_the_plan(annpipe_here: CliHere, tmp_path: Path) -> None:
    """As many rows as the plan has leaves, besides the names of components."""
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")
    plan = json.loads(annpipe_here("plan", "mine.yaml", "--json")[1])
    del plan["digest"]
    missing = set(leaves(plan)) - rows(annpipe_here).keys()
    assert missing == {"scheduler", "average", "data.transforms"}


def leaves(value: object, path: str = "") -> list[str]:
    """Dotted paths; a list of plain values is one leaf."""
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{path}.{key}" if path else key)]
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return [leaf for number, item in enumerate(value) for leaf in leaves(item, f"{path}.{number}")]
    return [path] if value != [] or not path.endswith(("metrics", "plots", "callbacks")) else []


def test_origin_reads_well_in_a_terminal(annpipe_here: CliHere, tmp_path: Path) -> None:
    """A row a value."""
    (tmp_path / "mine.yaml").write_text(BASE, encoding="utf-8")
    _, out, _ = annpipe_here("plan", "mine.yaml", "--origin")
    line = next(line for line in out.splitlines() if line.startswith("optimizer.Adam.lr"))
    assert line.split() == ["optimizer.Adam.lr", "0.1", "mine.yaml:6:24"]


def test_the_plan_says_what_a_step_is(annpipe_here: CliHere, tmp_path: Path) -> None:
    """Its rows, its batches, and how gradients are clipped."""
    (tmp_path / "mine.yaml").write_text(BASE, encoding="utf-8")
    options = ["train.batch_size=8", "train.accumulate=4", "train.clip_norm=0.5", "train.clip_value=0.1"]
    code, out, said = annpipe_here("plan", "mine.yaml", *(part for option in options for part in ("--set", option)))
    assert code == 0, said
    assert "5 epochs, a step is 32 rows in 4 batches, gradients clipped by values to 0.1 and norm to 0.5" in out


TABLE = """version: 1
name: table
data:
  csv: {files: t.csv, target: y}
  transforms: {number: [impute, standardize], k: one_hot}
  split: SPLIT
model: [Linear: 1]
loss: MSELoss
optimizer: Adam
train: {epochs: 1}
"""


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("{val: 0.25, stratify: k}", "train 75%  val 25%, in proportion to 'k'"),
        ("{val: 0.25, test: 0.25, order: d}", "train 50%  val 25%  test 25%, in the order of 'd'"),
        ("{folds: 4, fold: 1}", "val is fold 1 of 4, test 0%"),
        ("{by: part}", "train, val and test as the column 'part' says"),
        ("{val_rows: rows.txt}", "val as files say"),
    ],
)
def test_a_plan_tells_of_columns_and_splits(annpipe_here: CliHere, tmp_path: Path, split: str, said: str) -> None:
    """The steps of each key, and how the rows held out are chosen."""
    rows = [f"{n},{'uv'[n % 2]},2024-01-{n + 10},{'val' if n % 3 == 0 else 'train'},{2 * n}" for n in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["x,k,d,part,y", *rows]) + "\n", encoding="utf-8")
    (tmp_path / "rows.txt").write_text("0\n5\n", encoding="utf-8")
    ignore = "" if "order" in split or "by" in split else ", ignore: [d, part]"
    ignore = ignore or (", ignore: part" if "order" in split else ", ignore: d")
    text = TABLE.replace("SPLIT", split).replace("target: y", "target: y" + ignore)
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    shown = annpipe_here("plan", str(tmp_path / "s.yaml"))[1]
    assert "           number: impute " in shown
    assert "           k: one_hot\n" in shown
    assert f"           {said}\n" in shown
    assert "(rows, 3)" in shown
