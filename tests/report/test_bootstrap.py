"""Bootstrap intervals, held against closed forms and against resampling written out."""

from __future__ import annotations

import numpy as np
import pytest

from annpipe.report.bootstrap import Estimate, estimates

Z = 1.959964


def mean(means: np.ndarray) -> np.ndarray:
    return means[..., 0]


def close_to(found: Estimate, value: float, half: float) -> bool:
    """Whether value and ends are those of a closed form, but for a tenth of the interval."""
    return (
        found.value == pytest.approx(value)
        and max(abs(found.low - value + half), abs(found.high - value - half)) < 0.1 * 2 * half
    )


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    """Half of it is 1.96 standard errors."""
    values = np.random.default_rng(1).normal(3, 2, 800)
    found = estimates({"a": values[:, None]}, mean, resamples=4000).values["a"]
    assert close_to(found, values.mean(), Z * values.std() / np.sqrt(800))


def test_the_interval_of_an_accuracy_is_that_of_the_binomial_distribution() -> None:
    """Half of it is 1.96 sqrt(p (1 - p) / n)."""
    right = (np.arange(600) % 5 > 0).astype(float)
    found = estimates({"a": right[:, None]}, mean, resamples=4000).values["a"]
    assert close_to(found, 0.8, Z * np.sqrt(0.8 * 0.2 / 600))


def test_a_statistic_of_means_agrees_with_rows_drawn_one_by_one() -> None:
    """The root of a mean square, by plain numpy with another stream."""
    squares = np.random.default_rng(2).exponential(2.0, 120)
    found = estimates({"a": squares[:, None]}, lambda means: np.sqrt(means[..., 0]), resamples=8000).values["a"]
    drawn = np.random.default_rng(3).choice(squares, (8000, 120))
    low, high = np.quantile(np.sqrt(drawn.mean(1)), [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.03)


def test_differences_are_of_the_same_resamples() -> None:
    """A predictor that is always worse by 1 is worse by 1 in every resample, however wide its own interval is."""
    errors = np.random.default_rng(4).normal(0, 10, (50, 1))
    found = estimates({"model": errors, "other": errors + 1}, mean)
    difference = found.differences["other"]
    assert [difference.value, difference.low, difference.high] == pytest.approx([1, 1, 1])
    assert found.values["other"].high - found.values["other"].low > 3


@pytest.mark.parametrize("n_rows", [0, 1])
def test_too_few_rows_have_no_interval(n_rows: int) -> None:
    """Nor a warning: of no rows there is no value either."""
    found = estimates({"a": np.ones((n_rows, 1))}, mean).values["a"]
    assert not found.is_known
    assert (found.value == 1) == bool(n_rows)
