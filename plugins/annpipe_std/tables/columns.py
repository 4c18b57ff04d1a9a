"""Arrow columns → numbers, categories and booleans: what each column is, and the cells that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from annpipe import OptionError
from annpipe_std.tables.files import Raw

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

Type = Literal["number", "category", "boolean"]

MOSTLY = 0.9  # a column whose cells are numbers in so large a part is one of numbers with faults
FEW = 50  # so many different words are categories in a table of any length
MOST_CATEGORIES = 1000
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|infinity)$"
_TRUE, _FALSE = ("true", "yes"), ("false", "no")


@dataclass(frozen=True)
class Column:
    """One column of a table: float64 values, (rows,), NaN where missing; for categories the positions in `categories`.

    `type` is "number", "category", "boolean" (0 and 1, named by `categories`), or "text", which has no values.
    """

    name: str
    type: str
    values: Array
    categories: tuple[str, ...] = ()
    distinct: int = 0

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return int((self.values != self.values).sum())


def column(name: str, raw: Raw, wanted: Type | None = None, missing: tuple[str, ...] = ()) -> Column:
    """The column of a table as `wanted`, or as what it looks like; raises OptionError at cells that do not fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = raw.arrow.column(name)
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    kind = cells.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if is_number and wanted in (None, "number"):
        return _finite(Column(name, "number", _doubles(cells)), raw)
    if pa.types.is_boolean(kind) and wanted in (None, "boolean"):
        return Column(name, "boolean", _doubles(pc.cast(cells, "int8")), ("false", "true"))
    if pa.types.is_null(kind):
        return Column(name, wanted or "number", _doubles(pc.cast(cells, "float64")))
    words = _words(name, cells, missing)
    return _of_words(name, words, raw, wanted)


def _words(name: str, cells: pa.ChunkedArray, missing: tuple[str, ...]) -> pa.ChunkedArray:
    """The cells as text without blanks around them; words that stand for nothing become null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        words = pc.utf8_trim_whitespace(pc.cast(cells, pa.string()))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        help_ = f"leave it out: `ignore: [{name}]`"
        raise OptionError("features", f"the column '{name}' holds {cells.type}", help=help_) from error
    return pc.if_else(pc.is_in(words, pa.array(missing, pa.string())), None, words)


def _of_words(name: str, words: pa.ChunkedArray, raw: Raw, wanted: Type | None) -> Column:
    import pyarrow.compute as pc

    if wanted in (None, "number"):
        fits = pc.match_substring_regex(words, _NUMBER, ignore_case=True)
        share = pc.mean(pc.cast(fits, "float64")).as_py()
        if wanted == "number" or (share is not None and share >= MOSTLY):
            return _numbers(name, words, fits, raw)
    distinct = [word for word in pc.unique(words).to_pylist() if word is not None]
    lowered = {word.casefold() for word in distinct}
    is_boolean = any(lowered == {yes, no} for yes, no in zip(_TRUE, _FALSE, strict=True))
    if wanted == "boolean" or (wanted is None and is_boolean):
        return _boolean(name, words, lowered, raw)
    rows = raw.arrow.num_rows
    if wanted is None and len(distinct) > FEW and (len(distinct) > rows / 2 or len(distinct) > MOST_CATEGORIES):
        return Column(name, "text", _doubles(words.cast("string").is_null().cast("float64")), distinct=len(distinct))
    categories = tuple(sorted(distinct))
    return Column(name, "category", _positions(words, categories), categories, len(distinct))


def _numbers(name: str, words: pa.ChunkedArray, fits: pa.ChunkedArray, raw: Raw) -> Column:
    import pyarrow.compute as pc

    wrong = pc.fill_null(pc.invert(fits), False)
    count = pc.sum(pc.cast(wrong, "int64")).as_py() or 0
    if count:
        row = pc.index(wrong, True).as_py()
        cell = words[row].as_py()
        also = f", nor are {count - 1} more cells" if count > 1 else ""
        message = f"'{cell}' in {raw.where(row)} of the column '{name}' is not a number{also}"
        help_ = f"mend it, list it under `missing`, or say `types: {{{name}: category}}`"
        raise OptionError("files", message, help=help_)
    plain = pc.replace_substring_regex(words, r"^\+", "")
    return _finite(Column(name, "number", _doubles(pc.cast(plain, "float64"))), raw)


def _finite(numbers: Column, raw: Raw) -> Column:
    import numpy as np

    infinite = np.flatnonzero(np.isinf(numbers.values))
    if len(infinite):
        message = f"is {numbers.values[infinite[0]]} in {raw.where(int(infinite[0]))} of the column '{numbers.name}'"
        raise OptionError("files", message, help="mend it, or list the word under `missing`")
    return numbers


def _boolean(name: str, words: pa.ChunkedArray, lowered: set[str], raw: Raw) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    no, yes = (*_FALSE, "0", "f"), (*_TRUE, "1", "t")
    low = pc.utf8_lower(words)
    wrong = pc.invert(pc.is_in(low, pa.array([*no, *yes, None], pa.string())))
    if pc.any(wrong).as_py():
        row = pc.index(wrong, True).as_py()
        message = f"'{words[row].as_py()}' in {raw.where(row)} of the column '{name}' is neither true nor false"
        raise OptionError(f"types.{name}", message, help=f"say `types: {{{name}: category}}`")
    names = ("no", "yes") if lowered <= {"yes", "no"} else ("false", "true")
    values = pc.if_else(pc.is_null(low), None, pc.cast(pc.is_in(low, pa.array(yes)), "float64"))
    return Column(name, "boolean", _doubles(values), names)


def _positions(words: pa.ChunkedArray, categories: tuple[str, ...]) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return _doubles(pc.cast(pc.index_in(words, pa.array(categories, pa.string()), skip_nulls=True), "float64"))


def _doubles(cells: pa.ChunkedArray) -> Array:
    """(rows,) float64, NaN for null; an array of its own, so that torch may take it as it is."""
    import numpy as np
    import pyarrow.compute as pc

    return np.array(pc.cast(cells, "float64", safe=False).to_numpy(), dtype=np.float64)


def typed(raw: Raw, names: list[str], types: Mapping[str, Type], missing: tuple[str, ...]) -> dict[str, Column]:
    """The named columns, each of its type."""
    return {name: column(name, raw, types.get(name), missing) for name in names}
