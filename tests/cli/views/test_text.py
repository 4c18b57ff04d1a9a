"""Tables of text: columns are as wide as their widest cell."""

from __future__ import annotations

from annpipe.cli.views.text import aligned


def test_columns_are_aligned_left_or_right() -> None:
    """Without blanks at the end of a line."""
    rows = [("name", "count"), ("a", "1"), ("longer", "12")]
    assert aligned(rows) == ["name    count", "a       1", "longer  12"]
    assert aligned(rows, [False, True]) == ["name    count", "a           1", "longer     12"]


def test_a_remark_sets_no_width() -> None:
    """A row of a single cell is a line of its own."""
    assert aligned([("a", "b"), ("… and 3 more rows",)]) == ["a  b", "… and 3 more rows"]


def test_wide_letters_take_two_columns() -> None:
    """A terminal draws letters of Korean twice as wide, and an accent of its own on the letter before."""
    rows = [("이름", "n"), ("가나다", "1"), ("e\u0301", "2"), ("abcdefg", "3")]
    assert aligned(rows) == ["이름     n", "가나다   1", "e\u0301        2", "abcdefg  3"]
    assert aligned(rows, [True, False])[1] == " 가나다  1"
