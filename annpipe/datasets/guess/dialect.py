"""How a CSV file seems to be written: encoding, delimiter, names, numbers, missing words, dates.

A guess is made from the first cells of a file. What it says is what the options of `csv` would say.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from annpipe.datasets.guess.dates import guessed_dates, other_order
from annpipe.datasets.guess.numbers import MOSTLY, joint_format, looks_like_numbers
from annpipe.files.encodings import UTF8
from annpipe.portable.cell_text import MISSING, CellFormat, trimmed

DELIMITERS = (",", ";", "\t", "|", ":")
SAMPLE_ROWS = 2000
SAMPLE_TEXT = 2**20  # letters
MARKERS = ("?", "-", "--", ".", "..", "*", "missing", "Missing", "MISSING", "unknown", "none", "nil", "NaT", "#DIV/0!")
"""What stands for a missing number in files; of the words in `cell_text.MISSING` every file may have any."""


@dataclass(frozen=True)
class Dialect:
    """The options of `csv` that a file needs, where they are not the defaults.

    `header` are the names as the file has them, empty where it has no row of names; `notes` say what else was noticed.
    """

    delimiter: str = ","
    encoding: str = UTF8
    skip_rows: int = 0
    header: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    cells: CellFormat = field(default_factory=CellFormat)
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns as they are read."""
        return self.names or self.header

    def options(self) -> dict[str, Any]:
        """The options as a spec has them; those that are as they are anyway are left out."""
        plain, cells = CellFormat(), self.cells
        options: dict[str, Any] = {"delimiter": self.delimiter} if self.delimiter != "," else {}
        options |= {"encoding": self.encoding} if self.encoding != UTF8 else {}
        options |= {"skip_rows": self.skip_rows} if self.skip_rows else {}
        options |= {"names": list(self.names)} if self.names else {}
        for name in ("decimal", "thousands", "units", "missing", "dates"):
            value = getattr(cells, name)
            if value != getattr(plain, name):
                options[name] = list(value) if isinstance(value, tuple) else value
        return options


PlacedRow = tuple[int, list[str]]
"""The number of the line before a row, and its cells."""


def guessed_dialect(text: str, encoding: str = UTF8) -> Dialect:
    """The dialect of a file that begins with this text, which may end in the middle of a row."""
    text = text[:SAMPLE_TEXT].removeprefix("\ufeff")
    delimiter, skipped = _layout(text)
    rows = [row for row in _rows(text, delimiter) if row[0] >= skipped]
    notes = [f"the first {skipped} lines are no rows" if skipped > 1 else "the first line is no row"] if skipped else []
    header, names = _names([cells for _, cells in rows[:1]], notes)
    if names and header:
        skipped = rows[1][0] if rows[1:] else skipped + 1
    width = len(names or header)
    body = [cells for _, cells in (rows[1:] if header else rows) if len(cells) == width]
    columns = [[trimmed(row[number]) for row in body] for number in range(width)]
    form = _cells(columns, delimiter, notes)
    return Dialect(delimiter, encoding, skipped, header, names, form, tuple(notes))


def _rows(text: str, delimiter: str) -> list[PlacedRow]:
    """Cells of the first rows; a row that the text may cut is left out, where it is not the only one."""
    reader, rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []
    try:
        before = 0
        for cells in islice(reader, SAMPLE_ROWS + 1):
            rows.append((before, cells))
            before = reader.line_num
    except csv.Error:
        rows = [(number, line.split(delimiter)) for number, line in enumerate(text.splitlines()[: SAMPLE_ROWS + 1])]
    is_cut = len(text) >= SAMPLE_TEXT or len(rows) > SAMPLE_ROWS
    rows = rows[:-1] if is_cut and len(rows) > 1 else rows
    return [row for row in rows if row[1]]


def _layout(text: str) -> tuple[str, int]:
    """The delimiter that gives rows of one length, and the number of lines before the first of them."""
    best, delimiter, skipped = 0.0, ",", 0
    for sign in DELIMITERS:
        rows = _rows(text, sign)
        lengths = Counter(len(cells) for _, cells in rows if len(cells) > 1)
        if not lengths:
            continue
        width = max(lengths, key=lambda length: (lengths[length], length))
        first = next(number for number, (_, cells) in enumerate(rows) if len(cells) == width)
        fitting = lengths[width] / len(rows[first:])
        clean = 1 - sum(_holds_others(cells, sign) for _, cells in rows[:200]) / len(rows[:200])
        score = fitting * (0.5 + clean) * (0.8 if first else 1.0) * (0.7 if sign == ":" else 1.0)
        if score > best + 1e-9 and (fitting >= 0.7 or not best):
            best, delimiter, skipped = score, sign, rows[first][0] if first and fitting >= MOSTLY else 0
    return delimiter, skipped


def _holds_others(row: Sequence[str], delimiter: str) -> bool:
    """Whether cells of a row hold another sign that separates cells: rows of cells that were not taken apart."""
    return any(sign in cell for cell in row for sign in DELIMITERS[1:4] if sign != delimiter)


def _names(rows: Sequence[Sequence[str]], notes: list[str]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The row of names, none where the first row has values; and names to give instead of it, None for its own."""
    if not rows:
        return (), None
    first = tuple(rows[0])
    form = CellFormat()
    if all(_is_value(cell, form) for cell in first):
        notes.append("the first row has values, not names")
        return (), tuple(f"column_{number}" for number in range(1, len(first) + 1))
    nameless = [number for number, name in enumerate(first, 1) if not trimmed(name)]
    if nameless:
        notes.append(
            f"column {', '.join(map(str, nameless))} has no name" + ", as an index has none" * (nameless == [1])
        )
    twice = [name for name, count in Counter(first).items() if count > 1]
    if twice:
        notes.append(f"several columns are called {', '.join(repr(name) for name in twice)}; they get numbers")
        return first, _apart(first)
    return first, None


def _is_value(cell: str, form: CellFormat) -> bool:
    text = trimmed(cell)
    return bool(text) and (form.number(text.replace(",", ".")) is not None or guessed_dates([text]) is not None)


def _apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once: the second `x` is `x_2`, a nameless one `column_3`."""
    taken, unique = set(names), []
    counts: Counter[str] = Counter()
    for number, name in enumerate(names, 1):
        counts[name] += 1
        new = name
        if counts[name] > 1 or not trimmed(name):
            count = counts[name]
            new = f"{name}_{count}" if trimmed(name) else f"column_{number}"
            while new in taken:
                count += 1
                new = f"{name}_{count}"
            taken.add(new)
        unique.append(new)
    return tuple(unique)


def _cells(columns: Sequence[Sequence[str]], delimiter: str, notes: list[str]) -> CellFormat:
    """How cells are written, by all columns together."""
    form = CellFormat()
    counted = [Counter(cell for cell in column if cell not in form.missing) for column in columns]
    markers = _markers(counted)
    known = [word for word in MISSING[1:] if any(word in column for column in columns)]
    counted = [Counter({cell: n for cell, n in column.items() if cell not in markers}) for column in counted]
    numeric = [column for column in counted if column and looks_like_numbers(column) and not _are_dates(column)]
    better, _ = joint_format(numeric, form, (",", ".") if delimiter == ";" else (".", ","))
    form = better or form
    if form.thousands and not form.units and _is_ambiguous(numeric):
        notes.append(f"'{_some_cell(numeric, form)}' is read with '{form.thousands}' between thousands")
    form = replace(form, missing=("", *known, *markers)) if markers else form
    dates: dict[str, None] = {}
    for column in counted:
        formats = guessed_dates(list(column)) if _are_dates(column) else None
        if formats:
            dates |= dict.fromkeys(formats)
            if other := other_order(formats, list(column)):
                notes.append(f"'{next(iter(column))}' is read as {formats[0]}, and may be {other[0]}")
    return replace(form, dates=tuple(dates))


def _are_dates(column: Mapping[str, int]) -> bool:
    return bool(column) and guessed_dates(list(column)) is not None


def _markers(columns: Sequence[Mapping[str, int]]) -> tuple[str, ...]:
    """Words for a missing value that stand among numbers or dates."""
    markers: dict[str, None] = {}
    for column in columns:
        there = [word for word in MARKERS if word in column]
        rest = {word: count for word, count in column.items() if word not in there}
        if there and rest and (looks_like_numbers(rest) or _are_dates(rest)):
            markers |= dict.fromkeys(there)
    return tuple(markers)


def _is_ambiguous(columns: Sequence[Mapping[str, int]]) -> bool:
    """Whether every number with a sign inside has one alone, before three digits: thousands, or three decimals."""
    signed = [word for column in columns for word in column if re.search(r"[0-9][.,][0-9]", word)]
    return bool(signed) and all(re.fullmatch(r"[^0-9]*[0-9]{1,3}[.,][0-9]{3}[^0-9]*", word) for word in signed)


def _some_cell(columns: Sequence[Mapping[str, int]], form: CellFormat) -> str:
    return next(word for column in columns for word in column if form.thousands in word)
