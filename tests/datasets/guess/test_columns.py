"""What columns seem to be: types, ranges, and columns that a model cannot learn from."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest

from annpipe.datasets.guess.columns import ColumnGuess, guessed_column
from annpipe.portable.cell_text import CellFormat

N = 60


def guessed(cells: list[Any], name: str = "x", form: CellFormat | None = None) -> ColumnGuess:
    return guessed_column(name, pa.chunked_array([pa.array(cells)]), form or CellFormat())


@pytest.mark.parametrize(
    ("cells", "type_", "doubt"),
    [
        ([str(n / 2) for n in range(N)], "number", None),
        ([str(n) for n in range(N)], "number", "row number"),
        ([str(7 * n) for n in range(N)], "number", None),
        (["5"] * N, "number", "constant"),
        (["same"] * N, "category", "constant"),
        ([None] * N, "number", "empty"),
        (["a", "b", "c"] * 20, "category", None),
        (["yes", "no", "No"] * 20, "boolean", None),
        ([f"K-{n:04}" for n in range(N)], "category", "identifier"),
        ([f"this is the review number {n % 59}" for n in range(N)], "text", None),
        ([f"2020-01-{1 + n % 28:02}" for n in range(N)], "date", None),
        ([datetime.date(2020, 1, 1 + n % 28) for n in range(N)], "date", None),
        ([[1, 2]] * N, "array", None),
    ],
)
def test_types_and_doubts(cells: list[Any], type_: str, doubt: str | None) -> None:
    guess = guessed(cells)
    assert (guess.type, guess.doubt) == (type_, doubt)


def test_a_key_is_known_by_its_name() -> None:
    assert guessed([str(7 * n) for n in range(N)], "customer_id").doubt == "identifier"


def test_cells_that_do_not_fit_are_named() -> None:
    cells = [*map(str, range(N)), "three", "four"]
    guess = guessed(cells)
    assert (guess.type, guess.greatest) == ("number", "59")
    assert guess.faults == "'three' in row 61 is none of the numbers, nor are 1 more cells"


def test_the_range_of_dates_is_told_as_dates() -> None:
    guess = guessed(["31.12.2020", "01.02.2019", None], form=CellFormat(dates=("%d.%m.%Y",)))
    assert (guess.type, guess.least, guess.greatest, guess.missing) == ("date", "2019-02-01", "2020-12-31", 1)
