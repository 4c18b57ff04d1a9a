"""Cells of a file → the numbers and words that a model takes; a cell that does not fit is named by row and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from annpipe.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
STDIN = "-"
WORDS, NUMBERS, WHOLE = "words", "numbers", "whole"


@dataclass(frozen=True)
class Wanted:
    """A column that is read: as words, numbers or whole numbers, in rows of a shape; whether cells may be missing."""

    name: str
    type: str = WORDS
    shape: tuple[int, ...] = ()
    may_lack: bool = True


def shown(source: str) -> str:
    """A file as messages call it; `-` is standard input."""
    return "standard input" if source == STDIN else f"'{source}'"


class Written(Protocol):
    """How numbers and missing values are written in text."""

    @property
    def decimal(self) -> str: ...
    @property
    def missing(self) -> tuple[str, ...]: ...


def converted(wanted: Wanted, cells: Any, source: str, start: int, written: Written) -> Array:
    """A column of a block as (rows, …): doubles with NaN, or words with None; `start` rows came before it.

    Raises DataError at the first cell that does not fit.
    """
    import numpy as np

    if isinstance(cells, np.ndarray):
        array = _of_array(wanted, cells, source)
    elif wanted.shape:
        message = f"the model takes '{wanted.name}' in rows of the shape {wanted.shape}, which no table has"
        raise DataError(message, "write the array into an .npz file")
    else:
        array = _words(cells, written) if wanted.type == WORDS else _numbers(wanted, cells, source, start, written)
    for wrong, what, help_ in _faults(wanted, array):
        if wrong.any():
            row = start + int(wrong.argmax()) + 1
            raise DataError(f"{shown(source)}: row {row} of the column '{wanted.name}' {what}", help_)
    return array


def _of_array(wanted: Wanted, array: Array, source: str) -> Array:
    import numpy as np

    if wanted.shape != array.shape[1:]:
        message = f"'{source}': the rows of '{wanted.name}' have the shape {array.shape[1:]}, not {wanted.shape}"
        raise DataError(message, "save the array as the training data had it")
    if array.dtype.kind not in ("biufUS" if wanted.type == WORDS else "biuf"):
        message = f"'{source}': '{wanted.name}' holds {array.dtype}, not {wanted.type}"
        raise DataError(message, "save an array of numbers")
    return array if wanted.type == WORDS else array.astype(np.float64)


def _faults(wanted: Wanted, array: Array) -> Iterator[tuple[Array, str, str]]:
    """For each rule that cells must keep, which rows break it, (rows,), and what to say."""
    import numpy as np

    if wanted.type == WORDS:
        lost: Array = np.array([cell is None for cell in array], dtype=bool)
    else:
        flat = array.reshape(len(array), -1)
        lost = np.asarray(np.isnan(flat).any(1))
        yield np.asarray(np.isinf(flat).any(1)), "is not a finite number", "mend it, or leave it empty"
        if wanted.type == WHOLE:
            broken = ~lost & np.asarray((flat != np.round(flat)).any(1))
            yield broken, "is not a whole number", "the model takes whole numbers here"
    if not wanted.may_lack:
        yield lost, "is missing", "fill it in, or leave the row out"


def _words(cells: pa.Array, written: Written) -> Array:
    """Text without blanks around it; booleans and numbers as they are written; None for what is missing."""
    import numpy as np
    import pyarrow as pa

    return np.array(_text(cells, written).cast(pa.string()).to_pylist(), dtype=object)


def _text(cells: pa.Array, written: Written) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return pc.cast(cells, pa.string())
    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.is_in(text, pa.array(written.missing, text.type)), None, text)


def _numbers(wanted: Wanted, cells: pa.Array, source: str, start: int, written: Written) -> Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(cells.type):
        cells = pc.cast(cells, pa.int8())
    kind = cells.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        cells = pc.replace_substring(_text(cells, written), written.decimal, ".")
        wrong = pc.fill_null(pc.invert(pc.match_substring_regex(cells, _NUMBER)), False)
        if pc.any(wrong).as_py():
            row = pc.index(wrong, True).as_py()
            cell = f"'{cells[row].as_py()}' in row {start + row + 1} of the column '{wanted.name}'"
            raise DataError(f"{shown(source)}: {cell} is not a number", "mend it, or leave the cell empty")
        cells = pc.replace_substring_regex(cells, r"^\+", "")
    return np.array(pc.cast(cells, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
