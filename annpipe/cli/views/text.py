"""Rows of cells as aligned columns of text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """A line for each row, its cells padded to the width of their column; `right` are the columns aligned there.

    The first row says how many columns there are; a row of a single cell is a remark and sets no width.
    """
    n_columns = len(rows[0])
    full = [row for row in rows if len(row) == n_columns]
    widths = [max(len(row[column]) for row in full) for column in range(n_columns)]
    at_right = [*right, *[False] * (n_columns - len(right))]
    return [_line(row, widths, at_right) if len(row) == n_columns else row[0] for row in rows]


def _line(row: Sequence[str], widths: Sequence[int], at_right: Sequence[bool]) -> str:
    cells = zip(row, widths, at_right, strict=True)
    return "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip()
