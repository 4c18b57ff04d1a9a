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
