"""The scales of figures: numbers on a line, logarithmic where they span decades; other values in their order."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annpipe.sweep.results.table import Result, SweepResult

DECADES = 20.0  # from this ratio of the greatest to the least, results are drawn on a logarithmic scale
OCTAVES = 8.0  # the same of parameters, where their logarithms are spread more evenly than they are


@dataclass(frozen=True)
class Scale:
    """The values that a parameter took, in their order: all of them numbers, or else names."""

    path: str
    values: tuple[Any, ...]
    is_log: bool
    is_number: bool

    @classmethod
    def of(cls, swept: SweepResult, path: str) -> Scale:
        """The values of a parameter in the results; names in the order in which they were tried."""
        values_by_key = {_key(result.values[path]): result.values[path] for result in swept.results}
        values = list(values_by_key.values())
        numbers = [value for value in values if _is_number(value)]
        if len(numbers) < len(values):
            names = [value for value in values if not _is_number(value)]
            return cls(path, (*sorted(numbers), *names), is_log=False, is_number=False)
        numbers = sorted(numbers)
        return cls(path, tuple(numbers), is_log=_are_logarithmic(numbers), is_number=True)

    def position(self, value: Any) -> float:
        """The position of a value: itself, its logarithm to base 10, or its number in the order."""
        if not self.is_number:
            return float(next(position for position, other in enumerate(self.values) if _key(other) == _key(value)))
        return math.log10(value) if self.is_log else float(value)

    @property
    def limits(self) -> tuple[float, float]:
        """The positions of its first and last value, kept apart where they are equal."""
        low, high = self.position(self.values[0]), self.position(self.values[-1])
        return (low, high) if low < high else (low - 0.5, high + 0.5)


@dataclass(frozen=True)
class Heights:
    """How the metric is drawn: on a logarithmic scale or not, and beyond which value all are drawn at the edge."""

    is_log: bool
    best: float
    worst: float
    is_cut: bool
    higher: bool

    @classmethod
    def of(cls, swept: SweepResult) -> Heights:
        """The heights for the finite values of a sweep.

        On a linear scale, a value more than ten times as far from the best as three quarters of all are would flatten
        the others: it is drawn at the edge.
        """
        values = sorted((final(swept, result) for result in finite(swept)), reverse=swept.goal.higher)
        best, most, last = values[0], values[(3 * len(values)) // 4 if len(values) > 3 else -1], values[-1]
        if spans_decades(values):
            return cls(True, best, last, False, swept.goal.higher)
        edge = best + 2.5 * (most - best)
        is_cut = most != best and abs(last - best) > 10 * abs(most - best)
        return cls(False, best, edge if is_cut else last, is_cut, swept.goal.higher)

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that is drawn where it is."""
        return (self.worst, self.best) if self.higher else (self.best, self.worst)

    def shown(self, value: float) -> float:
        """The value, or the edge for one beyond it."""
        return max(value, self.worst) if self.higher else min(value, self.worst)

    def is_beyond(self, value: float) -> bool:
        """Whether a value is drawn at the edge."""
        return self.shown(value) != value

    def position(self, value: float) -> float:
        """Its position on a scale that is drawn by hand."""
        return math.log10(self.shown(value)) if self.is_log else self.shown(value)


def final(swept: SweepResult, result: Result) -> float:
    """The value by which a trial is compared; NaN where it has none."""
    return result.finals.get(swept.goal.metric, math.nan)


def finite(swept: SweepResult) -> list[Result]:
    """The trials with a finite value, the best first."""
    return [result for result in swept.ordered() if math.isfinite(final(swept, result))]


def lost(swept: SweepResult) -> list[Result]:
    """The trials that failed or have no finite value."""
    return [result for result in swept.results if not math.isfinite(final(swept, result))]


def spans_decades(values: Sequence[float]) -> bool:
    """Whether values are best seen on a logarithmic scale."""
    return min(values) > 0 and max(values) / min(values) >= DECADES


def _are_logarithmic(values: Sequence[float]) -> bool:
    """Of sorted values, whether the middle one lies nearer to the middle of the logarithms than to that of the line."""
    low, middle, high = values[0], values[len(values) // 2], values[-1]
    if low <= 0 or high / low < OCTAVES:
        return False
    on_line = abs((middle - low) / (high - low) - 0.5)
    return abs(math.log(middle / low) / math.log(high / low) - 0.5) < on_line


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
