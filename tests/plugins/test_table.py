"""The data generator `table`: rows written in the spec."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from annpipe import Field, OptionError
from annpipe_std.columns import table_fields
from annpipe_std.table import table

XOR: dict[str, Any] = {"inputs": {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]}, "targets": {"y": [0, 1, 1, 0]}}


def test_rows_are_taken_as_they_stand() -> None:
    """As doubles, one column a name."""
    rows = table(**XOR)
    assert rows.inputs["b"].tolist() == [0, 1, 0, 1]
    assert rows.targets["y"].tolist() == [0, 1, 1, 0]
    assert rows.inputs["a"].dtype == rows.targets["y"].dtype == torch.float64
    assert not rows.truth


def test_rows_can_be_repeated() -> None:
    """The whole table follows itself."""
    rows = table(**XOR, repeat=3)
    assert rows.rows == 12
    assert rows.targets["y"].tolist() == [0, 1, 1, 0] * 3


def test_words_are_classes() -> None:
    """Numbered in alphabetical order, with as many classes as there are words."""
    options: dict[str, Any] = {"inputs": {"size": [1, 2, 3]}, "targets": {"kind": ["oak", "elm", "oak"]}}
    assert table_fields(**options).targets == {
        "kind": Field(dtype="int", classes=2, type="category", categories=("elm", "oak"))
    }
    labels = table(**options).targets["kind"]
    assert labels.tolist() == [1, 0, 1]
    assert labels.dtype == torch.int64


def test_fields_are_told_without_making_the_table() -> None:
    """Numbers are single columns of floats."""
    assert table_fields(**XOR).inputs == {"a": Field(), "b": Field()}
    assert table_fields(**XOR).targets == {"y": Field()}


@pytest.mark.parametrize(
    ("change", "option", "message"),
    [
        ({"inputs": {"a": [0, 1, 1], "b": [0, 1]}}, "inputs.b", "has 2 rows; 'inputs.a' has 3"),
        ({"targets": {"y": [0, 1, 1]}}, "targets.y", "has 3 rows; 'inputs.a' has 4"),
        ({"inputs": {"a": []}}, "inputs.a", "has no rows"),
        ({"inputs": {}}, "inputs", "names no column"),
        ({"targets": {}}, "targets", "names no column"),
        ({"targets": {"a": [0, 1, 1, 1]}}, "targets.a", "is an input already"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_at_its_column(change: dict[str, Any], option: str, message: str) -> None:
    """The option names the column."""
    with pytest.raises(OptionError, match=message) as caught:
        table(**(XOR | change))
    assert caught.value.option == option
