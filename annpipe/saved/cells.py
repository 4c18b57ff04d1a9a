"""Cells of a file → the numbers and words that a model takes; a cell that does not fit is named by row and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from annpipe.datasets.cell_columns import cell_dates, cell_numbers, cell_texts, is_number, is_text, plain_cells, values
from annpipe.errors import DataError
from annpipe.portable.cell_dates import DAY
from annpipe.portable.cell_text import CellFormat, cell_text, plain

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

STDIN = "-"
WORDS, NUMBERS, WHOLE, DATES = "words", "numbers", "whole", "dates"


@dataclass(frozen=True)
class FileColumn:
    """A column that is read: as words, numbers, whole numbers or dates, in rows of a shape; whether cells may lack.

    Words that are among `categories` are none that stand for a missing value. Where there are categories, cells that
    are no text stay the values that they are.
    """

    name: str
    type: str = WORDS
    shape: tuple[int, ...] = ()
    may_lack: bool = True
    categories: tuple[str, ...] = ()


def shown(source: str) -> str:
    """A file as messages call it; `-` is standard input."""
    return "standard input" if source == STDIN else f"'{source}'"


def converted(wanted: FileColumn, cells: Any, source: str, start: int, form: CellFormat) -> Array:
    """A column of a block as (rows, …): doubles with NaN, words with None, or moments; `start` rows came before it.

    Raises DataError at the first cell that does not fit.
    """
    import numpy as np

    if isinstance(cells, np.ndarray):
        array = _of_array(wanted, cells, source)
    elif wanted.shape:
        message = f"the model takes '{wanted.name}' in rows of the shape {wanted.shape}, which no table has"
        raise DataError(message, "write the array into an .npz file")
    else:
        try:
            if wanted.type == WORDS:
                array = _words(wanted, cells, form)
            else:
                array = (_dates if wanted.type == DATES else _numbers)(wanted, cells, source, start, form)
        except TypeError:
            message = f"{shown(source)}: the column '{wanted.name}' holds {cells.type}"
            raise DataError(message, "write a single value into each of its cells") from None
    for wrong, what, help_ in _faults(wanted, array):
        if wrong.any():
            row = start + int(wrong.argmax()) + 1
            raise DataError(f"{shown(source)}: row {row} of the column '{wanted.name}' {what}", help_)
    return array


def _of_array(wanted: FileColumn, array: Array, source: str) -> Array:
    import numpy as np

    if wanted.shape != array.shape[1:]:
        message = f"'{source}': the rows of '{wanted.name}' have the shape {array.shape[1:]}, not {wanted.shape}"
        raise DataError(message, "save the array as the training data had it")
    if array.dtype.kind not in {WORDS: "biufUS", DATES: "MU"}.get(wanted.type, "biuf"):
        message = f"'{source}': '{wanted.name}' holds {array.dtype}, not {wanted.type}"
        raise DataError(message, f"save an array of {'dates' if wanted.type == DATES else 'numbers'}")
    return array if wanted.type in (WORDS, DATES) else array.astype(np.float64)


def _faults(wanted: FileColumn, array: Array) -> Iterator[tuple[Array, str, str]]:
    """For each rule that cells must keep, which rows break it, (rows,), and what to say."""
    import numpy as np

    if wanted.type in (WORDS, DATES):
        lost: Array = np.array([plain(cell) is None for cell in array], dtype=bool)
    else:
        flat = array.reshape(len(array), -1)
        lost = np.asarray(np.isnan(flat).any(1))
        yield np.asarray(np.isinf(flat).any(1)), "is not a finite number", "correct it, or leave it empty"
        if wanted.type == WHOLE:
            broken = ~lost & np.asarray((flat != np.round(flat)).any(1))
            yield broken, "is not a whole number", "the model takes whole numbers here"
    if not wanted.may_lack:
        yield lost, "is missing", "fill it in, or leave the row out"


def _words(wanted: FileColumn, cells: pa.Array, form: CellFormat) -> Array:
    """Text without blanks around it, None for what is missing; where categories are known, other values as they are."""
    import numpy as np

    form = replace(form, missing=tuple(word for word in form.missing if word not in wanted.categories))
    cells = plain_cells(cells)
    words = values(cells) if wanted.categories and not is_text(cells.type) else cell_texts(cells, form).to_pylist()
    column = np.empty(len(words), dtype=object)
    column[:] = words
    return column


def _dates(wanted: FileColumn, cells: pa.Array, source: str, start: int, form: CellFormat) -> Array:
    """Moments of NumPy's, to the microsecond."""
    import numpy as np

    days, wrong = cell_dates(cells, form)
    _refuse(wrong, cells, "date", (wanted, source, start))
    whole = np.floor(np.nan_to_num(days))
    counts = whole.astype(np.int64) * DAY + np.round((np.nan_to_num(days) - whole) * DAY).astype(np.int64)
    return np.where(np.isnan(days), np.datetime64("NaT", "us"), counts.astype("datetime64[us]"))


def _refuse(wrong: Array, cells: pa.Array, what: str, at: tuple[FileColumn, str, int]) -> None:
    """Raises DataError at the first cell that is wrong."""
    if wrong.any():
        wanted, source, start = at
        row = int(wrong.argmax())
        cell = f"'{cell_text(cells[row])}' in row {start + row + 1} of the column '{wanted.name}'"
        raise DataError(f"{shown(source)}: {cell} is not a {what}", "correct it, or leave the cell empty")


def _numbers(wanted: FileColumn, cells: pa.Array, source: str, start: int, form: CellFormat) -> Array:
    import numpy as np

    numbers, wrong = cell_numbers(cells, form)
    if form.missing_numbers and is_number(plain_cells(cells).type):
        numbers[np.isin(numbers, list(form.missing_numbers))] = np.nan
    _refuse(wrong, cells, "number", (wanted, source, start))
    return numbers
