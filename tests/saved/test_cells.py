"""Cells of a file become numbers and words; one that does not fit is named by row and column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from annpipe.errors import DataError
from annpipe.portable.cell_text import CellFormat
from annpipe.saved.cells import NUMBERS, WHOLE, FileColumn, converted, shown

X = FileColumn("x", NUMBERS)
TOWN = FileColumn("town")


def read(column: FileColumn, cells: Any, form: CellFormat | None = None) -> list[Any]:
    """The cells of a table's column, without a row before them; NaN as None."""
    values = converted(column, pa.chunked_array([pa.array(cells)]), "a.csv", 0, form or CellFormat()).tolist()
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1", " 2.5 ", "-1e3", "", "NA", None], [1.0, 2.5, -1000.0, None, None, None]),
        ([1, 2, None], [1.0, 2.0, None]),
        ([1.5, math.nan], [1.5, None]),
        ([True, False], [1.0, 0.0]),
        ([None, None], [None, None]),
    ],
)
def test_numbers_of_texts_and_of_numbers(cells: list[Any], numbers: list[float | None]) -> None:
    """Doubles, whatever type held them; what is missing is NaN."""
    assert read(X, cells) == numbers


def test_numbers_as_the_run_s_data_was_written() -> None:
    """Decimal comma, points between thousands, a unit, and a number that stands for a missing value."""
    form = CellFormat(decimal=",", thousands=".", units=("kg",), missing=("-999",))
    assert read(X, ["1.234,5", "2 kg", "-999", "7"], form) == [1234.5, 2.0, None, 7.0]
    assert read(X, [1.5, -999.0], form) == [1.5, None]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["Bern", "  Köln ", "", "nan", None], ["Bern", "Köln", None, None, None]),
        ([1, 2], ["1", "2"]),
        ([1.0, 2.5], ["1", "2.5"]),
        ([True, False], ["true", "false"]),
    ],
)
def test_words_of_any_type(cells: list[Any], words: list[str | None]) -> None:
    """Without blanks around them; other values by the text that they have everywhere."""
    assert read(TOWN, cells) == words


def test_a_category_may_be_called_what_is_missing_elsewhere() -> None:
    """And where there are categories, values that are no text stay what they are."""
    column = FileColumn("town", categories=("Bern", "NA"))
    assert read(column, ["NA", "Bern", "nan"]) == ["NA", "Bern", None]
    assert read(column, [1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        (X, ["1", "much", "more"], "'a.csv': 'much' in row 12 of the column 'x' is not a number"),
        (X, ["1", "inf"], "'a.csv': row 12 of the column 'x' is not a finite number"),
        (FileColumn("x", WHOLE), ["1", "", "1.5"], "row 13 of the column 'x' is not a whole number"),
        (FileColumn("x", NUMBERS, may_lack=False), ["1", "NA"], "row 12 of the column 'x' is missing"),
        (FileColumn("town", may_lack=False), ["Bern", ""], "row 12 of the column 'town' is missing"),
        (FileColumn("x", NUMBERS, (2,)), ["1"], "takes 'x' in rows of the shape (2,), which no table has"),
        (TOWN, [["a"], ["b"]], "'a.csv': the column 'town' holds list<item: string>"),
    ],
)
def test_a_cell_that_does_not_fit_is_told(column: FileColumn, cells: list[Any], message: str) -> None:
    """The first one, counted from the first row of the file: ten came before these."""
    with pytest.raises(DataError) as caught:
        converted(column, pa.chunked_array([pa.array(cells)]), "a.csv", 10, CellFormat())
    assert message in str(caught.value)


def test_a_missing_number_may_be_a_whole_one_that_lacks() -> None:
    """It breaks no other rule."""
    assert read(FileColumn("x", WHOLE), ["1", ""]) == [1.0, None]


@pytest.mark.parametrize(("source", "words"), [("-", "standard input"), ("a.csv", "'a.csv'")])
def test_a_file_in_messages(source: str, words: str) -> None:
    """A single stroke is standard input."""
    assert shown(source) == words


@pytest.mark.parametrize(
    ("column", "array", "message"),
    [
        (FileColumn("x", NUMBERS, (2,)), np.ones((3, 3)), r"have the shape \(3,\), not \(2,\)"),
        (FileColumn("x", NUMBERS), np.array(["a"]), "holds <U1, not numbers"),
        (FileColumn("x", WHOLE), np.array([1.0, 1.5]), "row 12 of the column 'x' is not a whole number"),
        (FileColumn("x", NUMBERS, may_lack=False), np.array([np.nan]), "row 11 of the column 'x' is missing"),
    ],
)
def test_an_array_that_does_not_fit_is_told(column: FileColumn, array: np.ndarray, message: str) -> None:
    """Rows are counted from the first of the file."""
    with pytest.raises(DataError, match=message):
        converted(column, array, "a.npz", 10, CellFormat())


@pytest.mark.parametrize(
    ("column", "array", "expected"),
    [
        (FileColumn("x", NUMBERS, (2,)), np.array([[1, 2], [3, 4]], dtype=np.int8), [[1.0, 2.0], [3.0, 4.0]]),
        (FileColumn("x", NUMBERS), np.array([True, False]), [1.0, 0.0]),
        (FileColumn("town"), np.array(["Bern", "Köln"]), ["Bern", "Köln"]),
        (FileColumn("x", WHOLE), np.array([1.0, np.nan]), None),
    ],
)
def test_an_array_that_fits_is_taken(column: FileColumn, array: np.ndarray, expected: list[Any] | None) -> None:
    """Numbers as doubles."""
    found = converted(column, array, "a.npz", 0, CellFormat())
    assert found.dtype == np.float64 or column.type == "words"
    if expected is not None:
        assert found.tolist() == expected
