"""Looks up the category or the number of a cell, by its text, or by its value where a reader has parsed it.

A copy of this file goes beside `answering.py` into every MLflow model, as one of `cell_text.py` does.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from .cell_text import EXACT, FALSE, TRUE, CellFormat, cell_text, plain, trimmed, written_moment


class Categories:
    """The categories of a column: which of them a cell names, by its text or by its value.

    A text names the category that is written as it is. A number, a boolean or a date names the one that stands for this
    value, however it is written: a reader such as pandas makes 1 of `01`, and keeps no text. A boolean has two words,
    and takes every way to write them.
    """

    def __init__(self, words: Sequence[str], name: str, cells: CellFormat, *, is_boolean: bool) -> None:
        self.words, self.name, self._format = list(words), name, cells
        self._known = {word: position for position, word in enumerate(words)}
        self._is_boolean = is_boolean
        self._missing = frozenset(cells.missing) - self._known.keys()

    def position(self, cell: Any) -> float:
        """The position of the category, -1 for one that is not known, NaN for a missing cell.

        Raises ValueError for a cell that may be two of them, and where a boolean's is neither true nor false.
        """
        value = plain(cell)
        if value is None:
            return np.nan
        if isinstance(value, str):
            text = trimmed(value)
            if text in self._missing:
                return np.nan
            return self._truth(text) if self._is_boolean else float(self._known.get(text, -1))
        try:
            text = cell_text(value) or ""
        except TypeError as error:
            raise ValueError(f"a cell of the column '{self.name}' is no single value: {error}") from error
        if self._is_boolean:
            return self._truth(text)
        matches = self._matches(value, text)
        if not matches and not isinstance(value, bool) and _is_missing_number(value, self._format):
            return np.nan
        if len(matches) > 1:
            both = " or ".join(f"'{self.words[position]}'" for position in matches[:2])
            raise ValueError(f"{text} in the column '{self.name}' may be {both}: {self._as_text}")
        return float(matches[0]) if matches else -1.0

    @property
    def _as_text(self) -> str:
        return f"give this column as text (pandas: dtype={{'{self.name}': str}})"

    def _truth(self, text: str) -> float:
        word = text.lower()
        if word not in FALSE and word not in TRUE:
            raise ValueError(f"'{text}' in the column '{self.name}' is neither true nor false")
        return 1.0 if word in TRUE else 0.0

    def _matches(self, value: Any, text: str) -> list[int]:
        """The categories that stand for a value that is no text."""
        match value:
            case bool():
                return self._truths.get(text, [])
            case float() | np.floating():
                matches = (
                    self._floats.get(float(text), [])
                    or self._narrow.get(float(value), [])
                    or self._half.get(float(value), [])
                )
                if abs(float(value)) >= EXACT and any(
                    self.words[position].lstrip("+-").isdecimal() for position in matches
                ):
                    message = f"{text} in the column '{self.name}' has lost digits as a floating-point number"
                    raise ValueError(f"{message}: {self._as_text}")
                return matches
            case int() | Decimal():
                return self._numbers.get(Decimal(value), [])
            case datetime.date() | datetime.time() | np.datetime64():
                if text not in self._moments and not self._moments and self.words:
                    message = (
                        f"the column '{self.name}' holds times, but its categories are written as '{self.words[0]}'"
                    )
                    raise ValueError(f"{message}: {self._as_text}")
                return self._moments.get(text, [])
        return [self._known[text]] if text in self._known else []

    @cached_property
    def _truths(self) -> dict[str, list[int]]:
        return self._by(lambda word: word.lower() if word.lower() in ("true", "false") else None)

    @cached_property
    def _floats(self) -> dict[Any, list[int]]:
        return self._by(self._format.number)

    @cached_property
    def _narrow(self) -> dict[Any, list[int]]:
        """By the number of 32 bits that a word stands for: readers make 0.10000000149011612 of such a 0.1."""
        return self._by(lambda word: self._rounded(word, np.float32))

    @cached_property
    def _half(self) -> dict[Any, list[int]]:
        """By the number of 16 bits that a word stands for, in the same way."""
        return self._by(lambda word: self._rounded(word, np.float16))

    def _rounded(self, word: str, kind: type[np.floating[Any]]) -> float | None:
        number = self._format.number(word)
        if number is None or abs(number) > float(np.finfo(kind).max):
            return None
        is_as_kept = number.is_integer() and abs(number) < EXACT  # as 2049, which 16 bits would make 2048 of
        return None if is_as_kept else float(kind(number))

    @cached_property
    def _numbers(self) -> dict[Any, list[int]]:
        return self._by(self._exact)

    def _exact(self, word: str) -> Decimal | None:
        text = self._format.exact_number(word)
        return None if text is None else Decimal(text)

    @cached_property
    def _moments(self) -> dict[Any, list[int]]:
        return self._by(written_moment)

    def _by(self, key: Callable[[str], Any]) -> dict[Any, list[int]]:
        by_key: dict[Any, list[int]] = {}
        for position, word in enumerate(self.words):
            value = key(word)
            if value is not None:
                by_key.setdefault(value, []).append(position)
        return by_key


def positions_of(cells: Sequence[Any], categories: Categories) -> np.ndarray[Any, Any]:
    """(rows,) cells -> (rows,) float64 positions: -1 for a word that is not known, NaN where missing."""
    known: dict[Any, float] = {}
    positions = np.empty(len(cells), dtype=np.float64)
    for row, cell in enumerate(cells):
        key = cell if type(cell) is str else (type(cell), cell)
        try:
            positions[row] = known[key]
        except KeyError:
            positions[row] = known[key] = categories.position(cell)
        except TypeError:  # a cell that cannot be hashed
            positions[row] = categories.position(cell)
    return positions


def numbers_of(cells: Sequence[Any], name: str, form: CellFormat) -> np.ndarray[Any, Any]:
    """(rows,) cells -> (rows,) float64, NaN where missing; raises ValueError at the first that is no finite number."""
    numbers = np.empty(len(cells), dtype=np.float64)
    for row, cell in enumerate(cells):
        numbers[row] = _number(plain(cell), name, form)
    return numbers


def _number(value: Any, name: str, form: CellFormat) -> float:
    match value:
        case None:
            return float("nan")
        case str():
            text = trimmed(value)
            if text in form.missing:
                return float("nan")
            number = form.number(text)
            if number is None:
                raise ValueError(f"'{text}' in the column '{name}' is not a number")
            return number
        case bool():
            return float(value)
        case int() | float() | np.floating() | Decimal():
            if _is_missing_number(value, form):
                return float("nan")
            try:
                return float(value)
            except OverflowError:
                return float("inf")
    raise ValueError(f"'{value}' in the column '{name}' is not a number")


def _is_missing_number(value: Any, form: CellFormat) -> bool:
    """Whether a number is one of the words for a missing value, as -999 may be."""
    return isinstance(value, int | float | np.floating | Decimal) and value in form.missing_numbers
