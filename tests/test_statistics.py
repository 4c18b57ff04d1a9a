"""Mean, deviation and interval of repetitions: held against SciPy and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from annpipe.statistics import spread, student_t


@pytest.mark.parametrize("degrees", [*range(1, 41), 60, 100, 1000])
def test_student_s_t_is_that_of_scipy(degrees: int) -> None:
    """From the table, and beyond it."""
    assert student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=6e-4)


def test_the_interval_is_that_of_scipy() -> None:
    """Of random values; one value has no interval, and one that is no number no mean."""
    values = np.random.default_rng(0).normal(3, 2, 9).tolist()
    found = spread(values)
    low, high = stats.t.interval(0.95, 8, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high), rel=1e-4)
    assert found.deviation == pytest.approx(np.std(values, ddof=1))
    assert math.isnan(spread([1.0]).half_width)
    assert spread([1.0]).mean == 1.0
    assert math.isnan(spread([1.0, math.inf]).mean)
    assert spread([]).n == 0
