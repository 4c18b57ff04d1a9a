"""Compares what an exported file answers with what `annpipe predict` does: the largest differences, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from annpipe.interchange.signature import FileOutput
from annpipe.portable.predictions import CLASS, PROBABILITIES

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

TOLERANCE = 1e-5  # the relative difference up to which two answers are the same
LEAST = 1e-30


@dataclass(frozen=True)
class Parity:
    """The largest differences of answers for rows: absolute, and relative to the answers; and in which output it was.

    A value is compared with itself, or with the mean size of its column's values where it is smaller than that. Rows
    whose two likeliest classes are as likely as each other are `ties`: another class there is no difference.
    """

    rows: int = 0
    largest: float = 0.0
    relative: float = 0.0
    output: str = ""
    ties: int = 0

    @property
    def holds(self) -> bool:
        """Whether the answers are the same but for rounding."""
        return self.relative <= TOLERANCE


def compare(outputs: Sequence[FileOutput], expected: Mapping[str, Array], got: Mapping[str, Array]) -> Parity:
    """Compares answers by the names of a file's outputs; names of classes are compared as they are."""
    parity = Parity(rows=len(next(iter(expected.values()))))
    for output in outputs:
        first, second = expected[output.name], got[output.name]
        ties = 0
        if first.shape != second.shape:
            largest = relative = math.inf
        elif output.what == CLASS:
            likely = _probabilities(output, outputs, expected)
            largest, ties = _classes(output, first, second, likely)
            relative = largest
        else:
            largest, relative = _numbers(first, second)
        worst = output.name if relative > parity.relative else parity.output
        parity = Parity(
            parity.rows, max(parity.largest, largest), max(parity.relative, relative), worst, parity.ties + ties
        )
    return parity


def _probabilities(output: FileOutput, outputs: Sequence[FileOutput], answers: Mapping[str, Array]) -> Array | None:
    """The probabilities of the classes of the same target, (rows, classes)."""
    same = (item for item in outputs if item.what == PROBABILITIES and item.target == output.target)
    return next((answers[item.name] for item in same), None)


def _classes(output: FileOutput, first: Array, second: Array, likely: Array | None) -> tuple[float, int]:
    """1 where a class differs that is no tie, else 0; and the number of ties."""
    rows = np.flatnonzero(first != second)
    if likely is None or any(first[row] is None or second[row] is None for row in rows):
        return float(len(rows) > 0), 0
    at = {name: position for position, name in enumerate(output.classes)}
    apart = [abs(float(likely[row, at[first[row]]] - likely[row, at[second[row]]])) for row in rows]
    return float(any(gap > TOLERANCE for gap in apart)), len(apart)


def _numbers(first: Array, second: Array) -> tuple[float, float]:
    first, second = first.astype(np.float64), second.astype(np.float64)
    if not np.array_equal(np.isnan(first), np.isnan(second)):
        return math.inf, math.inf
    there = ~np.isnan(first)
    first, second = first[there], second[there]
    if not first.size:
        return 0.0, 0.0
    with np.errstate(invalid="ignore"):
        apart = np.where(first == second, 0.0, np.abs(first - second))  # of two infinities, none
    finite = np.abs(first[np.isfinite(first)])
    usual = finite.mean() if finite.size else 0.0
    relative = apart / np.maximum(np.where(np.isfinite(first), np.abs(first), 0.0), max(usual, LEAST))
    return float(apart.max()), float(relative.max())
