"""Rows of cells as aligned columns of text, wrapped by words where the terminal is narrow."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Sequence
from itertools import zip_longest

from annpipe.errors import text_width

USUAL_WIDTH = 100  # of sentences where there is no terminal
GAP = 2  # blanks between columns
LONGEST_WORD = 16  # letters of a word that a narrow column keeps together
_PIECE = re.compile(r"[^-./_,:]*[-./_,:]+|[^-./_,:]+")


def terminal_width() -> int | None:
    """The columns of the terminal, or of the variable COLUMNS; None where the output goes to a file or a program."""
    return shutil.get_terminal_size((0, 0)).columns or None


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """A line for each row, its cells padded to the width of their column; `right` are the columns aligned there.

    The first row says how many columns there are; a row of a single cell is a remark and sets no width.
    """
    n_columns = len(rows[0])
    full = [row for row in rows if len(row) == n_columns]
    widths = [max(text_width(row[column]) for row in full) for column in range(n_columns)]
    at_right = [*right, *[False] * (n_columns - len(right))]
    return [_line(row, widths, at_right) if len(row) == n_columns else row[0] for row in rows]


def fitted(rows: Sequence[Sequence[str]], width: int | None, *, whole: Collection[int] = ()) -> list[str]:
    """As `aligned`, in lines of at most `width` columns: cells are wrapped by words.

    Where that is not enough, the table goes on below with the columns that are left, each part with the first column.
    `whole` are columns that are wrapped last.
    """
    if width is None:
        return aligned(rows)
    n_columns = len(rows[0])
    widths = _shrunk(rows, width, whole)
    n_fit = n_columns
    while n_fit > 2 and sum(widths[:n_fit]) + GAP * (n_fit - 1) > width:
        n_fit -= 1
        widths = _shrunk([row[:n_fit] for row in rows], width, whole)
    lines = aligned([part for row in rows for part in _wrapped_row(row[:n_fit], widths)])
    if n_fit == n_columns:
        return lines
    rest = [[row[0], *row[n_fit:]] for row in rows if len(row) == n_columns]
    return [*lines, "", *fitted(rest, width, whole=[0] if 0 in whole else [])]


def least_width(rows: Sequence[Sequence[str]], whole: Collection[int] = ()) -> int:
    """The columns that a table takes at least, without breaking words and what is `whole`."""
    bounds = _bounds(rows, whole)
    return sum(least for least, _ in bounds) + GAP * (len(bounds) - 1)


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns, broken between words, else behind marks in them.

    >>> wrapped("optimizer.Adam.lr 0.001", 12)
    ['optimizer.', 'Adam.lr', '0.001']
    """
    lines = [""]
    for word in text.split():
        if text_width(lines[-1]) + text_width(word) + bool(lines[-1]) <= width:
            lines[-1] += f" {word}" if lines[-1] else word
            continue
        if lines[-1]:
            lines.append("")
        for piece in _pieces(word):
            if text_width(lines[-1]) + text_width(piece) > width and lines[-1]:
                lines.append("")
            for letter in piece:
                if text_width(lines[-1]) + text_width(letter) > width and lines[-1]:
                    lines.append("")
                lines[-1] += letter
    return lines


def paragraph(text: str, width: int | None, indent: str = "") -> list[str]:
    """Sentences in lines of the terminal's width, or of the usual one where the output goes elsewhere."""
    return [indent + line for line in wrapped(text, (width or USUAL_WIDTH) - len(indent))]


def _pieces(word: str) -> list[str]:
    """The parts of a word behind which a line may break; a number has none."""
    try:
        float(word.strip("[](){},:"))
    except ValueError:
        return _PIECE.findall(word)
    return [word]


def _bounds(rows: Sequence[Sequence[str]], whole: Collection[int]) -> list[tuple[int, int]]:
    """For each column its least and its natural width."""
    full = [row for row in rows if len(row) == len(rows[0])]
    bounds = []
    for column in range(len(rows[0])):
        cells = [row[column] for row in full]
        natural = max(map(text_width, cells))
        words = [piece for cell in cells for word in cell.split() for piece in _pieces(word)]
        least = natural if column in whole else min(LONGEST_WORD, max(map(text_width, words), default=0))
        bounds.append((least, natural))
    return bounds


def _shrunk(rows: Sequence[Sequence[str]], width: int, whole: Collection[int]) -> list[int]:
    """The widths of columns: the widest ones give way, down to their least width."""
    n_columns = len(rows[0])
    for kept in (whole, ()):
        bounds = _bounds(rows, kept)
        widths = [natural for _, natural in bounds]
        room = width - GAP * (n_columns - 1)
        while sum(widths) > room:
            spare = [column for column in range(n_columns) if widths[column] > bounds[column][0]]
            if not spare:
                break
            widths[max(spare, key=widths.__getitem__)] -= 1
        if sum(widths) <= room:
            break
    return widths


def _wrapped_row(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """The lines of one row; of a remark the one that it is."""
    if len(row) != len(widths):
        return [list(row)]
    cells = [wrapped(cell, max(1, width)) for cell, width in zip(row, widths, strict=True)]
    return [list(line) for line in zip_longest(*cells, fillvalue="")]


def _line(row: Sequence[str], widths: Sequence[int], at_right: Sequence[bool]) -> str:
    cells = zip(row, widths, at_right, strict=True)
    return (" " * GAP).join(padded(cell, width, right=right) for cell, width, right in cells).rstrip()


def padded(cell: str, width: int, *, right: bool = False) -> str:
    """The cell in so many columns of a terminal, in which a wide character, as of Korean, takes two."""
    blanks = " " * max(0, width - text_width(cell))
    return blanks + cell if right else cell + blanks
