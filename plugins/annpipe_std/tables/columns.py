"""Arrow columns → numbers, categories and booleans: what a column is, and the values of its cells.

A column is read whole or in blocks of rows: `ColumnInspector` of `inspector` finds its type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from annpipe import (
    CellFormat,
    OptionError,
    Remark,
    TextCounts,
    cell_dates,
    cell_numbers,
    cell_texts,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

Type = Literal["number", "category", "boolean", "date", "text"]

FEW = 50  # so many different words are categories in a table of any length
MOST_CATEGORIES = 1000
MOST_COUNTED = 200_000  # so many different words of a column that may be text are counted, and no more
_TRUE, _FALSE = ("true", "yes"), ("false", "no")
YES, NO = (*_TRUE, "1", "1.0", "t"), (*_FALSE, "0", "0.0", "f")


@dataclass(frozen=True)
class Column:
    """One column of a table: float64 values, (rows,), NaN where missing; for categories the positions in `categories`.

    `type` is "number", "category", "boolean" (0 and 1, named by `categories`), "date" (days since 1970-01-01) or
    "text", whose values are those that `counted` says, (rows, numbers), and which has none where nobody said how.
    """

    name: str
    type: str
    values: Array
    categories: tuple[str, ...] = ()
    distinct: int = 0
    remarks: tuple[Remark, ...] = ()
    counted: TextCounts | None = None

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return int(missing_rows(self.values).sum())


def missing_rows(values: Array) -> Array:
    """(rows,) or (rows, numbers) -> (rows,) of bool: where there is no value."""
    import numpy as np

    lost = np.isnan(values)
    return np.asarray(lost.any(1) if lost.ndim > 1 else lost)


@dataclass(frozen=True)
class Found:
    """What a column is: its type, the names of its categories, and of words how many different ones it has.

    `remarks` say what is doubtful about it; they count in no digest.
    """

    type: str
    categories: tuple[str, ...] = ()
    distinct: int = 0
    remarks: tuple[Remark, ...] = field(default=(), repr=False)
    counted: TextCounts | None = field(default=None, repr=False)


def values(name: str, cells: pa.ChunkedArray, facts: Found, form: CellFormat) -> Array:
    """Cells of the column as numbers, (rows,): float64, NaN where missing; a text as its counts, (rows, numbers).

    Text that nobody said how to count has no values, and gives zeros.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = plain_cells(cells)
    kind = kind_of(cells)
    if facts.type == "date":
        return dates_of(name, cells, form)[0]
    if facts.counted is not None:
        return facts.counted.counts(words_of(name, cells, form).to_pylist())
    if kind == "null" or facts.type == "number" or (kind, facts.type) == ("boolean", "boolean"):
        return cell_numbers(cells, form)[0]
    words = words_of(name, cells, form)
    if facts.type == "boolean":
        truths: Array = np.asarray(pc.is_in(pc.utf8_lower(words), pa.array(YES, words.type))).astype(np.float64)
        truths[np.asarray(words.is_null())] = np.nan
        return truths
    if facts.type == "text":
        return np.where(np.asarray(words.is_null()), np.nan, 0.0)
    positions = pc.index_in(words, pa.array(facts.categories, words.type), skip_nulls=True)
    return np.array(pc.cast(positions, "float64").to_numpy(), dtype=np.float64)


def dates_of(name: str, cells: pa.ChunkedArray, form: CellFormat) -> tuple[Array, Array]:
    try:
        return cell_dates(cells, form)
    except TypeError as error:
        raise OptionError(f"types.{name}", f"the column '{name}' holds {cells.type}, no dates") from error


def plain_cells(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells themselves where they stand in a dictionary."""
    import pyarrow as pa

    return cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells


def kind_of(cells: pa.ChunkedArray) -> str:
    import pyarrow as pa

    kind = cells.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "boolean" if pa.types.is_boolean(kind) else "null" if pa.types.is_null(kind) else "words"


def words_of(name: str, cells: pa.ChunkedArray, form: CellFormat) -> pa.ChunkedArray:
    """The cells as text without blanks around them; words that stand for nothing become null."""
    try:
        return cell_texts(cells, form)
    except (TypeError, ValueError) as error:
        help_ = f"leave it out: `ignore: [{name}]`"
        raise OptionError("features", f"the column '{name}' holds {cells.type}", help=help_) from error
