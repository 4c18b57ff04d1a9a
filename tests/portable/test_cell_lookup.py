"""A cell names the category that is written as it is, or the one that stands for its value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from annpipe.portable.cell_lookup import Categories, numbers_of, positions_of
from annpipe.portable.cell_text import CellFormat

FORM = CellFormat(missing=("", "-999"))


def categories(*words: str, is_boolean: bool = False) -> Categories:
    return Categories(words, "c", FORM, is_boolean=is_boolean)


@pytest.mark.parametrize(
    ("cell", "position"),
    [("01", 0), (" 1.5 ", 1), ("1", -1), (1, 0), (1.0, 0), (np.float32(1.5), 1), (Decimal("1.50"), 1), (2, -1)],
)
def test_a_text_is_compared_as_written_and_a_value_by_what_it_is(cell: Any, position: int) -> None:
    assert categories("01", "1.5").position(cell) == position


@pytest.mark.parametrize("cell", [None, float("nan"), "", "-999", -999])
def test_missing_cells_have_no_position(cell: Any) -> None:
    assert np.isnan(categories("a").position(cell))


def test_a_value_that_may_be_two_categories_is_refused() -> None:
    with pytest.raises(ValueError, match="1 in the column 'c' may be '01' or '1'"):
        categories("01", "1").position(1)
    with pytest.raises(ValueError, match="has lost digits"):
        categories("9007199254740993").position(9007199254740992.0)


def test_booleans_take_every_way_to_write_them() -> None:
    both = categories("no", "yes", is_boolean=True)
    assert positions_of(["yes", "F", True, 0, 1.0], both).tolist() == [1, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="'maybe' in the column 'c' is neither true nor false"):
        both.position("maybe")


def test_numbers_of_cells_are_finite_or_missing() -> None:
    np.testing.assert_array_equal(numbers_of(["1e3", 2, None, -999, True], "c", FORM), [1000, 2, np.nan, np.nan, 1])
    with pytest.raises(ValueError, match="'x' in the column 'c' is not a number"):
        numbers_of(["x"], "c", FORM)
