"""Rows of cells as aligned columns of text."""

from __future__ import annotations

from collections.abc import Sequence

from annpipe.errors import text_width


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """A line for each row, its cells padded to the width of their column; `right` are the columns aligned there.

    The first row says how many columns there are; a row of a single cell is a remark and sets no width.
    """
    n_columns = len(rows[0])
    full = [row for row in rows if len(row) == n_columns]
    widths = [max(text_width(row[column]) for row in full) for column in range(n_columns)]
    at_right = [*right, *[False] * (n_columns - len(right))]
    return [_line(row, widths, at_right) if len(row) == n_columns else row[0] for row in rows]


def _line(row: Sequence[str], widths: Sequence[int], at_right: Sequence[bool]) -> str:
    cells = zip(row, widths, at_right, strict=True)
    return "  ".join(padded(cell, width, right=right) for cell, width, right in cells).rstrip()


def padded(cell: str, width: int, *, right: bool = False) -> str:
    """The cell in so many columns of a terminal, in which a wide character, as of Korean, takes two."""
    blanks = " " * max(0, width - text_width(cell))
    return blanks + cell if right else cell + blanks
