"""Remarks on doubtful columns: numbers written in a format that no option declares, and numbers of rows."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from annpipe import CellFormat, Remark

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, np.dtype[Any]]

MOSTLY = 0.9  # a column whose cells are numbers in so large a part is one of numbers, with faults
MOST_WORDS = 200  # different words that are looked at
MOST_MARKERS = 3  # different words that may stand for a missing number
FEW = 10  # rows that may be numbered by chance
_SIGNS = "%‰°"
_NAMES = (
    *("EUR", "USD", "GBP", "CHF", "JPY", "CNY", "INR", "SEK", "NOK", "DKK", "PLN", "CZK", "CAD", "AUD", "BRL", "KRW"),
    *("kg", "mg", "g", "t", "lb", "lbs", "oz", "km", "cm", "mm", "m", "mi", "ft", "in", "l", "ml", "ms", "s", "min"),
    *("h", "kB", "MB", "GB", "TB", "kW", "kWh", "W", "V", "A", "Hz", "MHz", "GHz", "hPa", "Pa", "bar", "px", "pt"),
    *("°C", "°F", "K", "km/h", "m/s", "mph", "m2", "m²", "m³", "bpm", "pct", "percent"),
)
_BODY = re.compile(r"[+-]?[0-9.][0-9.,_'’ \u00a0\u202f]*(?:[eE][+-]?[0-9]+)?")
_LOOSE = re.compile(r"[^0-9]{0,8}[0-9][0-9.,_'’ \u00a0\u202f]*(?:[eE][+-]?[0-9]+)?[^0-9]{0,9}2?")
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
            return self._of_markers() if self._has_cell_options else None
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
        if (
            sum(count for word, count in self._counts.items() if _LOOSE.fullmatch(word)) < fraction * self._total
            or not self._total
        ):
            return None
        units = (*self._form.units, *sorted({unit for word in self._counts for unit in _units(word)}))
        best, most = None, self._read(self._form)
        for decimal, thousands in _separators(self._form):
            for some in dict.fromkeys((self._form.units, units)):
                form = CellFormat(decimal, thousands, some, self._form.missing)
                read = self._read(form)
                if read > most:
                    best, most = form, read
        if best is None or most < fraction * self._total:
            return None
        used = [u for u in best.units if u in self._form.units or self._read(best) > self._read(_without(best, u))]
        return CellFormat(best.decimal, best.thousands, tuple(used), best.missing)

    @property
    def _total(self) -> int:
        return sum(self._counts.values())

    def _read(self, form: CellFormat) -> int:
        return sum(count for word, count in self._counts.items() if form.number(word) is not None)

    def _as_options(self, form: CellFormat) -> str:
        options = {"decimal": form.decimal, "thousands": form.thousands, "units": list(form.units)}
        before = {"decimal": self._form.decimal, "thousands": self._form.thousands, "units": list(self._form.units)}
        new = [
            f"{name}: {json.dumps(value, ensure_ascii=False)}"
            for name, value in options.items()
            if value != before[name]
        ]
        return f"`{', '.join(new)}`"


def _without(form: CellFormat, unit: str) -> CellFormat:
    return CellFormat(form.decimal, form.thousands, tuple(other for other in form.units if other != unit), form.missing)


def _separators(form: CellFormat) -> Iterator[tuple[str, str]]:
    """Decimal points with what may stand between thousands; those in use come first."""
    for decimal in dict.fromkeys((form.decimal, ".", ",")):
        for thousands in dict.fromkeys((form.thousands, "", ",", ".", "_", "'", "’", " ")):
            if thousands != decimal:
                yield decimal, thousands


def _units(word: str) -> Iterator[str]:
    """What stands beside the number of a word, where it is a currency's sign, a percentage or a known unit."""
    body = _BODY.search(word)
    if body is None:
        return
    for beside in (word[: body.start()], word[body.end() :]):
        unit = beside.strip(" \u00a0\u202f+-")
        if unit in _NAMES or (unit and all(unicodedata.category(sign) == "Sc" or sign in _SIGNS for sign in unit)):
            yield unit


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
