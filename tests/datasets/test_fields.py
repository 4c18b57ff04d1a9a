"""The fields of data: as the component declares them, or as the dataset that it made has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annpipe.contract import Dataset
from annpipe.datasets.fields import declaration_faults, fields_of
from annpipe.datasets.steps.make import make_data
from annpipe.draft.component import Component
from annpipe.registry.discovery import function_of
from annpipe.registry.registry import Registry
from tests.conftest import CliHere, unrecorded
from tests.datasets.tables import table


def test_fields_are_read_off_a_dataset() -> None:
    fields = fields_of(table())
    assert fields.rows == 60
    assert fields.inputs["x"].type == "number"
    assert (fields.inputs["word"].type, fields.inputs["word"].missing) == ("category", 9)
    assert fields.inputs["word"].categories == ("a", "b", "c")
    assert (fields.targets["kind"].dtype, fields.targets["kind"].classes) == ("int", 2)
    assert "day" not in fields.inputs, "columns kept aside are no fields"


def test_images_and_tokens_have_shapes_and_dtypes() -> None:
    fields = fields_of(
        Dataset({"image": torch.zeros(2, 1, 3, 3), "token": torch.zeros(2).long()}, {"y": torch.zeros(2)})
    )
    assert fields.inputs["image"].shape == (1, 3, 3)
    assert fields.inputs["token"].dtype == "int"
    assert fields.targets["y"].classes is None


POINTS = """
import torch
from annpipe import Dataset, Field, Fields, data

def points_fields(rows: int = 6) -> Fields:
    return {declared}

@data(fields=points_fields)
def points(rows: int = 6) -> Dataset:
    made = torch.arange(float(rows), dtype=torch.float64)
    return Dataset({{"x": made, "image": torch.zeros(rows, 2, 2).double()}}, {{"kind": made.long() % 3}})
"""
RIGHT = 'Fields({"x": Field(), "image": Field((2, 2))}, {"kind": Field(dtype="int", classes=3)}, rows)'


@pytest.mark.parametrize(
    ("wrong", "instead", "words"),
    [
        ("", "", ""),
        (", rows)", ")", ""),
        ("classes=3", "classes=4", ""),
        ('"x":', '"why":', "declares the input 'why', and the inputs that are made are x, image"),
        ('"kind":', '"sort":', "declares the target 'sort', and the targets that are made are kind"),
        ('"x": Field(), ', "", "does not declare the input 'x', which is made"),
        (
            '"x": Field(), "image": Field((2, 2))',
            '"image": Field((2, 2)), "x": Field()',
            "declares the inputs as image, x, and they are made as x, image",
        ),
        ("(2, 2)", "(2, 3)", "declares 'image' with the shape (2, 3), and it is made with (2, 2)"),
        ('"x": Field()', '"x": Field(dtype="int")', "declares 'x' with the dtype int, and it is made with float"),
        ("classes=3", "classes=2", "declares 2 classes of 'kind', and the label 2 is made"),
        (", rows)", ", 7)", "declares 7 rows, and 6 are made"),
    ],
)
def test_declared_fields_are_held_against_the_data(wrong: str, instead: str, words: str, tmp_path: Path) -> None:
    """At the function that declares them; more classes than there are, and no number of rows, are right."""
    file = tmp_path / "own.py"
    file.write_text(POINTS.format(declared=RIGHT.replace(wrong, instead, 1)), encoding="utf-8")
    (entry,) = Registry().add_file(file)
    points = Component("data", "points", {"rows": 6}, entry=entry)
    declare = function_of(entry, "fields")
    assert declare is not None
    faults = declaration_faults(points, declare(rows=6), make_data(points, 0))
    assert [fault.message.removeprefix("`points_fields` of the data component 'points' ") for fault in faults] == (
        [words] if words else []
    )
    assert {(fault.place.file, fault.place.line) for fault in faults if fault.place} <= {(str(file), 5)}


@pytest.mark.parametrize("rows", [20, 200_000])
def test_wrong_fields_are_found_before_the_training(rows: int, annpipe_here: CliHere, tmp_path: Path) -> None:
    """By `validate`; where many rows are declared, when the run begins, and no step is taken."""
    (tmp_path / "own.py").write_text(POINTS.format(declared=RIGHT.replace(", rows)", ", rows + 1)")), encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(SPEC.replace("ROWS", str(rows)), encoding="utf-8")
    code, _, said = annpipe_here("validate", "spec.yaml")
    assert code == (3 if rows == 20 else 0), said
    with unrecorded():
        code, _, said = annpipe_here("run", "spec.yaml")
    assert code != 0
    assert f"declares {rows + 1} rows, and {rows} are made" in said
    assert "epoch" not in said


SPEC = """
version: 1
name: points
plugins: [./own.py]
data: {points: {rows: ROWS}}
model: {inputs: {a: {columns: [x]}, b: {columns: [image], layers: [Flatten]}}, layers: [Linear: 3]}
loss: CrossEntropyLoss
optimizer: SGD
train: {epochs: 1}
"""
