"""Answers of a file are compared with their own size; classes by name, ties apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from annpipe.interchange.parity import compare
from annpipe.interchange.signature import FileOutput
from annpipe.portable.predictions import CLASS, PROBABILITIES, VALUE

NUMBER = FileOutput("y", "y", VALUE, torch.float64, ())
SPECIES = FileOutput("s", "s", CLASS, torch.int64, (), ("a", "b"))
LIKELY = FileOutput("s_probabilities", "s", PROBABILITIES, torch.float64, (2,), ("a", "b"))


def numbers(*values: float) -> dict[str, np.ndarray]:
    return {"y": np.array(values)}


def test_a_difference_is_a_share_of_the_answer_or_of_its_column() -> None:
    """0.1 of 100 is a thousandth; beside answers of 50 on average, 0.1 of 0 is 0.1 / 50."""
    first = compare([NUMBER], numbers(100.0, 0.0), numbers(100.1, 0.0))
    assert (first.largest, first.relative) == (pytest.approx(0.1), pytest.approx(1e-3))
    assert compare([NUMBER], numbers(100.0, 0.0), numbers(100.0, 0.1)).relative == pytest.approx(2e-3)
    assert not first.holds
    assert first.output == "y"


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_what_is_no_number_in_both_is_equal(lost: float) -> None:
    assert compare([NUMBER], numbers(1.0, lost), numbers(1.0, lost)).relative == 0
    assert compare([NUMBER], numbers(1.0, lost), numbers(1.0, 2.0)).relative == math.inf


def test_another_shape_is_a_difference() -> None:
    assert compare([NUMBER], numbers(1.0, 2.0), numbers(1.0)).relative == math.inf


def test_another_class_is_a_difference_unless_both_are_as_likely() -> None:
    """A row without an answer is none of the classes."""
    expected = {"s": np.array(["a", "b", None], dtype=object)}
    expected["s_probabilities"] = np.array([[0.5 + 1e-7, 0.5 - 1e-7], [0.1, 0.9], [math.nan, math.nan]])
    tied = expected | {"s": np.array(["b", "b", None], dtype=object)}
    other = expected | {"s": np.array(["a", "a", None], dtype=object)}
    given = expected | {"s": np.array(["a", "b", "a"], dtype=object)}
    outputs = [SPECIES, LIKELY]
    found = [compare(outputs, expected, got) for got in (expected, tied, other, given)]
    assert [(parity.relative, parity.ties) for parity in found] == [(0, 0), (0, 1), (1, 1), (1, 0)]
