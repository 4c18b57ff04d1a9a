"""What a column seems to be: its type, what is missing, its range, examples, and whether a model can learn from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from annpipe.datasets.cell_columns import cell_dates, cell_numbers, cell_texts, is_number, plain_cells
from annpipe.datasets.guess.dates import guessed_dates
from annpipe.datasets.guess.numbers import MOSTLY
from annpipe.portable.cell_dates import date_text
from annpipe.portable.cell_text import CellFormat

if TYPE_CHECKING:
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

FEW = 50  # so many different words are categories in a table of any length
MOST_CATEGORIES = 1000
FEW_ROWS = 10  # rows that may all be different by chance
WORDS_OF_TEXT = 3.0  # so many words a cell on average are a text rather than a name
EXAMPLES = 3
_KEY_NAME = re.compile(
    r"(?i)(?:.*[_ .-])?(?:id|uuid|guid|key|index|nr|no|number|rownames?)|unnamed.*|\s*|.*[a-z]Id|.*[a-z]ID"
)


@dataclass(frozen=True)
class ColumnGuess:
    """A column as it seems to be. `least` and `greatest` are of numbers and dates, as text.

    `type` is "number", "category", "boolean", "date", "text" or, of an array with a shape of its own, "array".
    `doubt` tells why a model cannot learn from it ("identifier", "constant", "row number", "empty"); `faults` are
    cells that do not fit the type.
    """

    name: str
    type: str
    rows: int
    missing: int = 0
    distinct: int | None = None
    least: str = ""
    greatest: str = ""
    examples: tuple[str, ...] = ()
    doubt: str | None = None
    faults: str | None = None
    shape: tuple[int, ...] = ()
    whole: bool = False


def guessed_column(name: str, cells: pa.ChunkedArray, form: CellFormat) -> ColumnGuess:
    """What the cells of a column seem to be, of whatever type they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = plain_cells(cells)
    rows = len(cells)
    kind = cells.type
    try:
        texts = cell_texts(cells, form)
    except (TypeError, ValueError):
        return ColumnGuess(name, "array", rows, faults=f"holds {kind}, which no table component reads")
    lost, distinct = texts.null_count, pc.unique(texts.drop_null())
    words = distinct.slice(0, 2000).to_pylist()
    base = ColumnGuess(name, "number", rows, lost, len(distinct), examples=tuple(words[:EXAMPLES]))
    if not words:
        return replace(base, doubt="empty")
    is_moment = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    if is_moment or (not is_number(kind) and (guessed_dates(words) == () or _are_dates(words, form))):
        return _dates(base, cells, form)
    if pa.types.is_boolean(kind) or _are_booleans(words):
        return replace(base, type="boolean", doubt="constant" if len(distinct) == 1 and not lost else None)
    numbers, wrong = cell_numbers(cells, form)
    if wrong.sum() <= (1 - MOSTLY) * (rows - lost) and not wrong.all():
        return _numbers(base, numbers, wrong, texts)
    return _words(base, texts, words)


def _are_dates(words: Sequence[str], form: CellFormat) -> bool:
    formats = guessed_dates(words)
    return formats is not None and set(formats) <= set(form.dates)


def _are_booleans(words: Sequence[str]) -> bool:
    lowered = {word.casefold() for word in words}
    return lowered == {"yes", "no"} or lowered <= {"true", "false"}


def _dates(base: ColumnGuess, cells: pa.ChunkedArray, form: CellFormat) -> ColumnGuess:
    days, wrong = cell_dates(cells, form)
    there = days[~np.isnan(days)]
    bounds = (date_text(float(there.min())), date_text(float(there.max()))) if len(there) else ("", "")
    return replace(
        base,
        type="date",
        least=bounds[0],
        greatest=bounds[1],
        doubt="constant" if base.distinct == 1 and not base.missing else None,
        faults=_of_cells(wrong, cell_texts(cells, form), "dates"),
    )


def _numbers(base: ColumnGuess, numbers: Array, wrong: Array, texts: pa.ChunkedArray) -> ColumnGuess:
    there = numbers[~np.isnan(numbers)]
    whole = bool((there == np.round(there)).all())
    is_key = whole and base.distinct == base.rows >= FEW_ROWS and not base.missing
    counts = is_key and bool((np.diff(numbers) == 1).all())
    doubt = "constant" if base.distinct == 1 and not base.missing else None
    if counts and (numbers[0] in (0, 1) or _KEY_NAME.fullmatch(base.name)):
        doubt = "row number"
    elif is_key and _KEY_NAME.fullmatch(base.name):
        doubt = "identifier"
    return replace(
        base,
        least=f"{there.min():.6g}",
        greatest=f"{there.max():.6g}",
        doubt=doubt,
        faults=_of_cells(wrong, texts, "numbers"),
        whole=whole,
    )


def _of_cells(wrong: Array, texts: pa.ChunkedArray, what: str) -> str | None:
    if not wrong.any():
        return None
    row, count = int(wrong.argmax()), int(wrong.sum())
    more = f", nor are {count - 1:,} more cells" if count > 1 else ""
    return f"'{texts[row].as_py()}' in row {row + 1} is none of the {what}{more}"


def _words(base: ColumnGuess, texts: pa.ChunkedArray, words: Sequence[str]) -> ColumnGuess:
    distinct = base.distinct or 0
    present = base.rows - base.missing
    length = sum(len(word.split()) for word in words) / len(words)
    if distinct == 1 and not base.missing:
        return replace(base, type="category", doubt="constant")
    if distinct == present >= FEW_ROWS and length < WORDS_OF_TEXT and max(map(len, words)) <= 64:
        return replace(base, type="category", doubt="identifier")
    many = distinct > FEW and (distinct > present / 2 or distinct > MOST_CATEGORIES)
    is_prose = length >= WORDS_OF_TEXT and distinct > present / 2 and distinct > FEW_ROWS
    return replace(base, type="text" if many or is_prose else "category")
