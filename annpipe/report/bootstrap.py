"""Intervals by the bootstrap: the same resamples of rows for all predictors, so that their differences have some too.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: the percentile interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from annpipe.datasets.cell_columns import Array

RESAMPLES = 1_000
LEVEL = 0.95
MOST_DRAWN = 1_000_000  # numbers of rows that are in memory at once
SEED = 0

Statistic = Callable[[Array], Array]
"""Takes the means of columns, (…, columns), and gives values, (…)."""


@dataclass(frozen=True)
class Estimate:
    """A statistic of rows with the bounds of its interval: NaN where there are fewer than two rows."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether there is an interval."""
        return self.low == self.low and self.high == self.high


@dataclass(frozen=True)
class Estimates:
    """The estimate of each predictor, and of its difference from the first one: theirs minus that of the first."""

    values: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]


def estimates(columns: Mapping[str, Array], statistic: Statistic, resamples: int = RESAMPLES) -> Estimates:
    """Percentile intervals of a statistic that is a function of means over rows, for several predictors at once.

    `columns` has for each predictor an array (rows, columns) of the same rows.
    """
    names, widths = list(columns), [part.shape[1] for part in columns.values()]
    whole = np.concatenate(list(columns.values()), axis=1)
    bounds = np.cumsum(widths)[:-1]
    drawn = _resampled_means(whole, resamples)
    means = whole.mean(0) if len(whole) else np.full(whole.shape[1], np.nan)
    with np.errstate(all="ignore"):  # rows without any variance have no R²
        values = dict(zip(names, (float(statistic(part)) for part in np.split(means, bounds)), strict=True))
        samples = dict(zip(names, (statistic(part) for part in np.split(drawn, bounds, axis=1)), strict=True))
        first = names[0]
        intervals = {name: _interval(values[name], samples[name]) for name in names}
        between = {name: _interval(values[name] - values[first], samples[name] - samples[first]) for name in names[1:]}
    return Estimates(intervals, between)


def _interval(value: float, samples: Array) -> Estimate:
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _resampled_means(columns: Array, resamples: int) -> Array:
    """(rows, columns) -> (resamples, columns): the means over as many rows, drawn with replacement."""
    rows = len(columns)
    if rows < 2:
        return np.full((resamples, columns.shape[1]), np.nan)
    generator = np.random.default_rng(SEED)
    at_once = max(1, MOST_DRAWN // rows)
    parts = []
    for begin in range(0, resamples, at_once):
        n = min(at_once, resamples - begin)
        drawn = generator.integers(0, rows, (n, rows)) + rows * np.arange(n)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=n * rows).reshape(n, rows)
        parts.append(counts @ columns / rows)
    return np.concatenate(parts)
