"""Warnings about data that make a result look better than it is, each where it applies and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annpipe.contract import Dataset, Field, Fields, Remark
from annpipe.datasets.inspect import SplitData
from annpipe.datasets.leaks import absent_classes, all_findings, answers, constant_columns, remarks, rows_in_both
from annpipe.datasets.steps.splits import Splits
from annpipe.draft.component import Component
from annpipe.spec import load_spec
from annpipe.spec.sections.spec import Spec

DATA = Component("data", "csv", {})
X = torch.arange(20.0, dtype=torch.float64)
LABELS = torch.tensor([0, 1] * 10)


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    (tmp_path / "spec.yaml").write_text(
        "{version: 1, name: leaks, data: {csv: {files: a.csv, target: y}, split: {val: 0.2}}, model: [Linear: 1],"
        " loss: MSELoss, optimizer: SGD, train: {epochs: 1}}",
        encoding="utf-8",
    )
    return load_spec(tmp_path / "spec.yaml")


def split_data(spec: Spec, train: Dataset, val: Dataset | None = None) -> SplitData:
    return SplitData(spec, DATA, train, Splits(train, val, None))


def test_a_class_that_train_lacks(spec: Spec) -> None:
    train = Dataset({"x": X}, {"y": torch.zeros(20, dtype=torch.int64)}, categories={"y": ("no", "yes")})
    val = Dataset({"x": X}, {"y": LABELS}, categories={"y": ("no", "yes")})
    (problem,) = absent_classes(split_data(spec, train, val))
    assert problem.code == "absent-class"
    assert "the class 'yes' of 'y'" in problem.message
    assert "val has 10" in problem.message
    assert list(absent_classes(split_data(spec, val, train))) == []


@pytest.mark.parametrize(
    ("column", "relation"),
    [
        (X, "they are equal"),
        (3 - 2 * X, "one is the other but for scale and shift"),
        ((X % 2) * 5, "each of its 2 values goes with one of the target's"),
    ],
)
def test_an_input_that_is_the_target(spec: Spec, column: torch.Tensor, relation: str) -> None:
    target = X % 2 if "values" in relation else X
    (problem,) = answers(split_data(spec, Dataset({"copy": column}, {"y": target})))
    assert problem.code == "leak"
    assert problem.message == f"the input 'copy' determines the target 'y' exactly: {relation}"


def test_an_input_that_is_merely_related_is_none(spec: Spec) -> None:
    assert list(answers(split_data(spec, Dataset({"x": X.square()}, {"y": X})))) == []


def test_rows_of_train_that_are_held_out_too(spec: Spec) -> None:
    train, val = Dataset({"x": X}, {"y": X}), Dataset({"x": X[:4] + 18}, {"y": X[:4]})
    (problem,) = rows_in_both(split_data(spec, train, val))
    assert "2 of the 4 rows of val (50.0%) have the same inputs as a row of train" in problem.message
    missing = Dataset({"x": torch.tensor([torch.nan, -0.0])}, {"y": X[:2]})
    (problem,) = rows_in_both(split_data(spec, missing, Dataset({"x": torch.tensor([torch.nan, 0.0])}, {"y": X[:2]})))
    assert problem.message.startswith("2 of the 2 rows"), "missing values are equal, and so are both zeros"


def test_columns_with_one_value(spec: Spec) -> None:
    inputs = {"x": X, "one": torch.ones(20), "lost": torch.full((20,), torch.nan)}
    (problem,) = constant_columns(split_data(spec, Dataset(inputs, {"y": X})))
    assert problem.message == "'one', 'lost' have the same value in every row"


def test_remarks_of_the_data_component_are_warnings() -> None:
    doubt = Remark("'id' counts the rows", "leave it out", is_leak=True)
    (problem,) = remarks(DATA, Fields({"id": Field(remarks=(doubt,))}, {"y": Field()}))
    assert (problem.code, problem.message, problem.severity) == ("leak", "'id' counts the rows", "warning")


def test_data_without_a_flaw_has_no_findings(spec: Spec) -> None:
    draw = torch.Generator().manual_seed(0)
    train, val = (Dataset({"x": torch.randn(9, generator=draw)}, {"y": torch.randn(9, generator=draw)}) for _ in "ab")
    assert list(all_findings(split_data(spec, train, val))) == []
