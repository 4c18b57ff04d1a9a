"""Columns of Arrow are read as single cells are: the same texts and the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from annpipe.datasets.cell_columns import cell_numbers, cell_texts, plain_cells
from annpipe.portable.cell_text import CellFormat, cell_text

FORM = CellFormat()
COLUMNS = [
    pa.array([" a ", "NA", None, "01"]),
    pa.array([1, None, 3], pa.int8()),
    pa.array([1.0, 0.1, None, 1e300]),
    pa.array([True, False, None]),
    pa.array(["x", "y", "x"]).dictionary_encode(),
    pa.array([0, 86_400_000_000], pa.timestamp("us")),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.type))
def test_texts_are_those_of_single_cells(column: Any) -> None:
    expected = [cell_text(cell) for cell in column]
    expected = [None if text in FORM.missing else text for text in expected]
    assert cell_texts(column, FORM).to_pylist() == expected


def test_what_python_has_no_type_for_is_read_exactly() -> None:
    """As a float of 32 bits, 0.1 is written as 0.1; and times of day have nanoseconds."""
    assert cell_texts(pa.array([0.1, 2049.0], pa.float32()), FORM).to_pylist() == ["0.1", "2049"]
    assert cell_texts(pa.array([1_000_000_001], pa.time64("ns")), FORM).to_pylist() == ["00:00:01.000000001"]


def test_numbers_of_texts_and_where_a_text_is_none() -> None:
    form = CellFormat(decimal=",", thousands=".", units=("€",))
    numbers, wrong = cell_numbers(pa.array(["1.234,5", "3 €", "x", None, "+2"]), form)
    np.testing.assert_array_equal(numbers, [1234.5, 3, np.nan, np.nan, 2])
    assert wrong.tolist() == [False, False, True, False, False]


def test_booleans_are_0_and_1() -> None:
    numbers, _ = cell_numbers(pa.array([True, None, False]), FORM)
    np.testing.assert_array_equal(numbers, [1, np.nan, 0])


def test_lists_are_no_cells() -> None:
    with pytest.raises(TypeError, match="is no single value"):
        cell_texts(pa.array([[1], [2]]), FORM)


def test_a_dictionary_is_read_as_its_values() -> None:
    assert plain_cells(pa.array(["x", None]).dictionary_encode()).to_pylist() == ["x", None]
