"""Finds what columns are from all of their cells, whole or in blocks of rows; errors name cells that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from annpipe import MOSTLY, CellFormat, OptionError, TextCounts, cell_numbers, guessed_dates
from annpipe_std.tables.columns import (
    FEW,
    MOST_CATEGORIES,
    MOST_COUNTED,
    NO,
    YES,
    Column,
    Found,
    Type,
    dates_of,
    kind_of,
    plain_cells,
    values,
    words_of,
)
from annpipe_std.tables.doubts import Order, Unread, remark_of_order
from annpipe_std.tables.files import Raw

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

T = TypeVar("T")


class ColumnInspector:
    """Finds what one column is from all of its cells. Rows are counted over all blocks, from 0.

    `has_cell_options` is whether the data component has the options of a CellFormat, as `csv` has; `counted` says how
    a text is.
    """

    def __init__(
        self,
        name: str,
        wanted: Type | None,
        form: CellFormat,
        *,
        has_cell_options: bool,
        counted: TextCounts | None = None,
    ) -> None:
        self.name, self._wanted, self._form, self._text = name, "text" if counted else wanted, form, counted
        self._kind = "null"
        self._infinite: tuple[int, float] | None = None
        self._wrong: tuple[int, str] | None = None  # the first cell that is no number, or neither true nor false
        self._n_wrong = self._n_words = 0
        self._distinct: set[str] = set()
        self._has_cell_options = has_cell_options
        self._unread = Unread(name, form, has_cell_options=has_cell_options)
        self._order = Order(name)

    def begin_file(self) -> None:
        """The next rows are those of another file."""
        self._order.begin_file()

    def add(self, cells: pa.ChunkedArray, start: int) -> Array:
        """Takes in the next cells, the first of which is row `start`; returns which are missing, (rows,) of bool.

        Raises OptionError where they cannot be read.
        """
        import numpy as np

        cells = plain_cells(cells)
        kind = kind_of(cells)
        if self._wanted == "date":
            return self._see_dates(cells, start)
        if self._wanted == "text":  # a missing one is a text without words
            self._see_words(words_of(self.name, cells, self._form), start)
            return np.zeros(len(cells), dtype=bool)
        if kind == "null":
            self._order.add(np.full(len(cells), np.nan))
            return np.ones(len(cells), dtype=bool)
        if kind == "number" and self._wanted in (None, "number"):
            self._kind = kind
            numbers = cell_numbers(cells, self._form)[0]
            self._see_numbers(numbers, start)
            self._order.add(numbers)
            return np.isnan(numbers)
        if kind == "boolean" and self._wanted in (None, "boolean"):
            self._kind = kind
            return np.asarray(cells.is_null())
        self._kind = "words"
        words = words_of(self.name, cells, self._form)
        self._see_words(words, start)
        return np.asarray(words.is_null())

    def _see_dates(self, cells: pa.ChunkedArray, start: int) -> Array:
        import numpy as np
        import pyarrow as pa

        days, wrong = dates_of(self.name, cells, self._form)
        self._kind = "date"
        self._note_wrong(cells, pa.array(wrong), start)
        return np.isnan(days)

    def _see_numbers(self, numbers: Array, start: int) -> None:
        import numpy as np

        infinite = np.flatnonzero(np.isinf(numbers))
        if len(infinite) and self._infinite is None:
            self._infinite = start + int(infinite[0]), float(numbers[infinite[0]])

    def _see_words(self, words: pa.ChunkedArray, start: int) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._n_words += len(words) - words.null_count
        if self._wanted in (None, "number"):
            numbers, wrong = cell_numbers(words, self._form)
            self._note_wrong(words, pa.array(wrong), start)
            self._see_numbers(numbers, start)
            self._order.add(numbers)
            self._unread.add(words)
        if self._wanted == "boolean":
            known = pa.array([*NO, *YES, None], words.type)
            self._note_wrong(words, pc.invert(pc.is_in(pc.utf8_lower(words), known)), start)
        if self._wanted != "number" and (self._wanted or len(self._distinct) < MOST_COUNTED):
            self._distinct.update(word for word in pc.unique(words).to_pylist() if word is not None)

    def _note_wrong(self, words: pa.ChunkedArray, wrong: pa.Array, start: int) -> None:
        import pyarrow.compute as pc

        count = pc.sum(pc.cast(wrong, "int64")).as_py() or 0
        self._n_wrong += count
        if count and self._wrong is None:
            row = pc.index(wrong, True).as_py()
            self._wrong = start + row, str(words[row].as_py())

    def result(self, rows: int, where: Callable[[int], str]) -> Found:
        """What the column of so many rows is; `where` names a row. Raises OptionError at cells that do not fit."""
        if self._kind == "date":
            self._check_dates(where)
            return Found("date")
        if self._wanted == "text":
            return Found("text", distinct=len(self._distinct), counted=self._text or TextCounts())
        if self._kind == "null":
            return Found(self._wanted or "number")
        if self._kind == "number":
            return self._of_numbers(where)
        if self._kind == "boolean":
            return Found("boolean", ("false", "true"))
        return self._of_words(rows, where)

    def _of_numbers(self, where: Callable[[int], str]) -> Found:
        self._check_finite(where)
        remark = remark_of_order(self.name, self._order)
        return Found("number", remarks=(remark,) if remark else ())

    def _of_words(self, rows: int, where: Callable[[int], str]) -> Found:
        fraction = 1 - self._n_wrong / self._n_words if self._n_words else 0.0
        if self._wanted == "number" or (self._wanted is None and fraction >= MOSTLY):
            self._check_numbers(where)
            return self._of_numbers(where)
        lowered = {word.casefold() for word in self._distinct}
        is_boolean = lowered == {"yes", "no"} or (bool(lowered) and lowered <= {"true", "false"})
        if self._wanted == "boolean" or (self._wanted is None and is_boolean):
            self._check_boolean(where)
            return Found("boolean", ("no", "yes") if lowered <= {"yes", "no"} else ("false", "true"))
        remark = self._unread.remark(MOSTLY) if self._wanted is None else None
        remarks = (remark,) if remark else ()
        distinct = len(self._distinct)
        if self._wanted is None and distinct > FEW and (distinct > rows / 2 or distinct > MOST_CATEGORIES):
            return Found("text", distinct=distinct, remarks=remarks)
        return Found("category", tuple(sorted(self._distinct)), distinct, remarks)

    def _check_numbers(self, where: Callable[[int], str]) -> None:
        if self._wrong is not None:
            row, cell = self._wrong
            also = f", nor are {self._n_wrong - 1} more cells" if self._n_wrong > 1 else ""
            message = f"'{cell}' in {where(row)} of the column '{self.name}' is not a number{also}"
            reading = self._unread.options(MOSTLY)
            say = f"say {reading}, which reads it" if reading else f"say `types: {{{self.name}: category}}`"
            raise OptionError("files", message, help=f"correct it, list it under `missing`, or {say}")
        self._check_finite(where)

    def _check_finite(self, where: Callable[[int], str]) -> None:
        if self._infinite is not None:
            row, value = self._infinite
            message = f"is {value} in {where(row)} of the column '{self.name}'"
            raise OptionError("files", message, help="correct it, or list the word under `missing`")

    def _check_dates(self, where: Callable[[int], str]) -> None:
        if self._wrong is not None:
            row, cell = self._wrong
            also = f", nor are {self._n_wrong - 1} more cells" if self._n_wrong > 1 else ""
            message = f"'{cell}' in {where(row)} of the column '{self.name}' is not a date{also}"
            guessed = guessed_dates([cell])
            say = f"say `dates: {json.dumps(list(guessed))}`" if guessed else "say how: `dates: ['%d.%m.%Y']`"
            help_ = f"correct it{', list it under `missing`,' * self._has_cell_options} or {say}"
            raise OptionError(f"types.{self.name}", message, help=help_)

    def _check_boolean(self, where: Callable[[int], str]) -> None:
        if self._wanted == "boolean" and self._wrong is not None:
            row, cell = self._wrong
            message = f"'{cell}' in {where(row)} of the column '{self.name}' is neither true nor false"
            raise OptionError(f"types.{self.name}", message, help=f"say `types: {{{self.name}: category}}`")


def column(name: str, raw: Raw, wanted: Type | None, form: CellFormat, text: TextCounts | None = None) -> Column:
    """The column of a table as `wanted`, or as what it looks like; raises OptionError at cells that do not fit."""
    cells = raw.arrow.column(name)
    inspector = ColumnInspector(name, wanted, form, has_cell_options=raw.has_cell_options, counted=text)
    start = 0
    for end in raw.cumulative_rows:
        inspector.begin_file()
        inspector.add(cells.slice(start, end - start), start)
        start = end
    facts = inspector.result(raw.arrow.num_rows, raw.where)
    numbers = values(name, cells, facts, form)
    return Column(name, facts.type, numbers, facts.categories, facts.distinct, facts.remarks, facts.counted)


def typed(
    raw: Raw,
    names: list[str],
    types: Mapping[str, Type],
    form: CellFormat,
    text: Mapping[str, TextCounts],
    check: Callable[[Column, str], None],
) -> dict[str, Column]:
    """The named columns, each of its type; raises one OptionError for all with cells that do not fit, or refused."""

    def checked(name: str) -> Column:
        made = column(name, raw, types.get(name), form, text.get(name))
        check(made, name)
        return made

    return gathered({name: partial(checked, name) for name in names})


def gathered(makes: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """What each function gives, by name; raises one OptionError for all that raise one."""
    made, faults = {}, []
    for name, make in makes.items():
        try:
            made[name] = make()
        except OptionError as fault:
            faults.append(fault)
    if faults:
        raise OptionError.of_all(faults)
    return made
