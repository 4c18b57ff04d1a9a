"""Remarks on doubtful columns: numbers written in a format that no option declares, and numbers of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from annpipe import CellFormat, Remark, guessed_dates, number_format

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

MOST_WORDS = 200  # different words that are looked at
MOST_MARKERS = 3  # different words that may stand for a missing number
FEW = 10  # rows that may be numbered by chance
_NAMELESS = re.compile(r"\s*|Unnamed: [0-9]+|__index_level_[0-9]+__")


class Unread:
    """The words of a column that may be numbers with signs; a sample of the different words is examined.

    `has_cell_options` is whether the component has the options of a CellFormat, `has_types` whether it has `types`.
    """

    def __init__(self, name: str, form: CellFormat, *, has_cell_options: bool, has_types: bool = True) -> None:
        self.name, self._form, self._has_cell_options, self._has_types = name, form, has_cell_options, has_types
        self._counts: dict[str, int] = {}

    def add(self, words: pa.ChunkedArray) -> None:
        """Counts the words of the next rows."""
        import pyarrow.compute as pc

        if len(self._counts) >= MOST_WORDS:
            return
        counts = pc.value_counts(words.slice(0, 20 * MOST_WORDS)).slice(0, MOST_WORDS).to_pylist()
        self.count({item["values"]: item["counts"] for item in counts if item["values"] is not None})

    def count(self, words: Mapping[str, int]) -> None:
        """Takes in words with how often each is there."""
        for word, count in words.items():
            self._counts[word] = self._counts.get(word, 0) + count

    def options(self, fraction: float) -> str | None:
        """The options, as a spec has them, that read at least this fraction of the words as numbers; None for none."""
        better = self._better(fraction)
        return self._as_options(better) if better and self._has_cell_options else None

    def remark(self, fraction: float) -> Remark | None:
        """What to say of words that are taken for categories, and would be numbers with other options."""
        better = self._better(fraction)
        if better is None:
            return self._of_dates() or (self._of_markers() if self._has_cell_options else None)
        cell = next(
            word for word in self._counts if self._form.number(word) is None and better.number(word) is not None
        )
        message = f"the column '{self.name}' is read as words, but its cells look like numbers, such as '{cell}'"
        if self._has_cell_options:
            number = f"{better.number(cell):.12g}"
            do = f"to read them as numbers write {self._as_options(better)}, which reads '{cell}' as {number}"
        else:
            do = "write plain numbers there"
        word = f"say `types: {{{json.dumps(self.name, ensure_ascii=False)}: category}}`"
        return Remark(message, f"{do}; where words are meant, {word if self._has_types else 'leave it as it is'}")

    def _of_dates(self) -> Remark | None:
        """What to say where all words are dates."""
        guessed = guessed_dates(list(self._counts)) if len(self._counts) > 1 and self._has_types else None
        if guessed is None:
            return None
        name = json.dumps(self.name, ensure_ascii=False)
        message = (
            f"the column '{self.name}' is read as words, but its cells look like dates, such as '{min(self._counts)}'"
        )
        how = f" and `dates: {json.dumps(list(guessed))}`" if guessed else ""
        do = f"to read them as dates say `types: {{{name}: date}}`{how}, with `transforms: {{{name}: date_parts}}`"
        return Remark(message, f"{do}; where words are meant, say `types: {{{name}: category}}`")

    def _of_markers(self) -> Remark | None:
        """What to say where a few words without a digit stand among many numbers, as `?` for one that is missing."""
        words = [word for word in self._counts if self._form.number(word) is None]
        n_words = sum(self._counts[word] for word in words)
        few = 0 < len(words) <= MOST_MARKERS and not any(sign.isdigit() for word in words for sign in word)
        if not few or len(self._counts) - len(words) < FEW or 2 * n_words > self._total:
            return None
        known = [] if self._form.missing == CellFormat().missing else list(self._form.missing)
        missing = json.dumps([*(known or [""]), *words], ensure_ascii=False)
        shown = " and ".join(f"'{word}'" for word in words)
        message = f"the column '{self.name}' is read as words, because it has {shown}; its other cells are numbers"
        word = f"`types: {{{json.dumps(self.name, ensure_ascii=False)}: category}}`"
        return Remark(
            message, f"where that stands for a missing number say `missing: {missing}`; where words are meant, {word}"
        )

    def _better(self, fraction: float) -> CellFormat | None:
        """The format that reads most words, where it reads enough of them and more than the one in use."""
        return number_format(self._counts, self._form, fraction)

    @property
    def _total(self) -> int:
        return sum(self._counts.values())

    def _as_options(self, form: CellFormat) -> str:
        options = {"decimal": form.decimal, "thousands": form.thousands, "units": list(form.units)}
        before = {"decimal": self._form.decimal, "thousands": self._form.thousands, "units": list(self._form.units)}
        new = [
            f"{name}: {json.dumps(value, ensure_ascii=False)}"
            for name, value in options.items()
            if value != before[name]
        ]
        return f"`{', '.join(new)}`"


class Order:
    """Whether the numbers of a column count the rows, of each file from 0 or 1; whether one without a name is whole."""

    def __init__(self, name: str) -> None:
        self.counts_rows = True
        self.is_index = bool(_NAMELESS.fullmatch(name))
        self.rows = 0
        self._last: float | None = None
        self._first: float | None = None

    def begin_file(self) -> None:
        """The next rows are those of another file, where counting may begin anew."""
        self._last = None

    def add(self, numbers: Array) -> None:
        """Takes in the next rows, (rows,) float64."""
        import numpy as np

        self.rows += len(numbers)
        if len(numbers) and self.counts_rows:
            first = float(numbers[0])
            self._first = first if self._first is None else self._first
            follows = first == (self._first if self._last is None else self._last + 1) or first - 1 == self._last_of_all
            self.counts_rows = self._first in (0, 1) and follows and bool((np.diff(numbers) == 1).all())
            self._last = self._last_of_all = float(numbers[-1])
        if self.is_index:
            self.is_index = bool((numbers == np.round(numbers)).all())

    _last_of_all: float | None = None


def remark_of_order(name: str, order: Order) -> Remark | None:
    """What to say of an input that is the number of its row, or has no name, as such a number has none in a file."""
    leave = f"leave it out: `ignore: [{json.dumps(name, ensure_ascii=False)}]`"
    if order.rows >= FEW and order.counts_rows:
        return Remark(f"the input '{name}' is the number of the row", leave, is_leak=True)
    if order.rows >= FEW and order.is_index:
        message = f"the input '{name}' has no name, like the index of a data frame that was written to a file"
        return Remark(message, leave, is_leak=True)
    return None
