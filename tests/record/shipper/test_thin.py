"""Thinning: never more than 10,000 points, and always those that matter."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from annpipe.record.shipper.thin import BUDGET, NON_FINITE, SeriesPoint, Thinner


def recorded(values: list[float], expected: int | None, key: str = "train/loss", *, final: bool = True) -> set[int]:
    """The steps that end up in the record, the way the shipper asks for them."""
    series = Thinner(key, expected)
    points = [SeriesPoint(step, value, step) for step, value in enumerate(values)]
    steps = {point.step for point in points if series.keep(point)}
    left = series.outstanding()
    stride = series.fill(final=final)
    return steps | {point.step for point in left} | (set(range(0, len(values), stride)) if stride else set())


@pytest.mark.parametrize("expected", [None, 10_000, 20_000, 1_000_000])
@pytest.mark.parametrize("length", [1, 4_999, 5_001, 10_000])
def test_a_series_within_the_budget_is_whole(length: int, expected: int | None) -> None:
    """Whatever was announced: what ends with at most 10,000 points is all there."""
    assert len(recorded([1.0] * length, expected)) == length


@pytest.mark.parametrize("expected", [None, 100, 10_001, 25_000, 50_000, 10_000_000])
@pytest.mark.parametrize("length", [10_001, 25_000, 200_000])
def test_a_longer_series_keeps_the_budget_and_its_first_last_and_best(length: int, expected: int | None) -> None:
    """At most 10,000 points, well spread, with both ends and the lowest value."""
    values = [random.Random(1).random() + 1.0] * length
    values[length // 3 + 1] = 0.5
    steps = recorded(values, expected)
    assert len(steps) <= BUDGET
    assert {0, length - 1, length // 3 + 1} <= steps
    assert len(steps) > BUDGET / 3
    if expected == length:
        ordered = sorted(steps)
        assert max(b - a for a, b in pairwise(ordered)) <= math.ceil(length / 9_000)


def test_of_other_metrics_both_extremes_are_kept() -> None:
    """Whether high is good is not known here, so both ends are best."""
    values = [0.5] * 30_000
    values[12_345], values[12_347] = 0.1, 0.9
    assert {12_345, 12_347} <= recorded(values, 30_000, "val/accuracy")


def test_non_finite_points_are_kept_within_the_budget() -> None:
    """The first ones always; a series of nothing else still keeps to 10,000 points."""
    values = [1.0] * 30_000
    values[17_001], values[17_002] = math.nan, math.inf
    assert {17_001, 17_002} <= recorded(values, 30_000)
    steps = recorded([math.nan] * 100_000, 100_000)
    assert NON_FINITE < len(steps) <= BUDGET


@pytest.mark.parametrize("stop", [3_000, 8_000, 9_500, 15_000])
def test_a_killed_run_leaves_room_to_be_resumed(stop: int) -> None:
    """MLflow takes nothing back: what a killed run used and what its resumption adds fit the budget together."""
    length = 30_000
    series = Thinner("train/loss", length)
    steps: set[int] = set()
    for step in range(length):
        if step == stop:
            steps |= {point.step for point in series.outstanding()}
            stride = series.fill(final=False)
            steps |= set(range(0, stop, stride)) if stride else set()
            if stop <= 8_000:
                assert len(steps) == stop
        if series.keep(SeriesPoint(step, 1.0, step)):
            steps.add(step)
    steps |= {point.step for point in series.outstanding()}
    stride = series.fill(final=True)
    steps |= set(range(0, length, stride)) if stride else set()
    assert len(steps) <= BUDGET
    assert length - 1 in steps
    assert sum(step >= stop for step in steps) > 1_000


@pytest.mark.parametrize("begun", [100, 10_000, 25_000])
@pytest.mark.parametrize("more", [50, 6_000, 30_000])
def test_what_a_run_is_trained_further_is_kept_like_a_run_of_its_own(begun: int, more: int) -> None:
    """The part that came first has its points in the record already; the new one has a budget beside them."""
    series = Thinner("train/loss", begun)
    kept = {step for step in range(begun) if series.keep(SeriesPoint(step, 1.0, step))}
    series.fill(final=True)
    series.announce(begun + more)
    new = {step for step in range(begun, begun + more) if series.keep(SeriesPoint(step, 1.0, step))}
    assert len(new) == more if more < BUDGET else BUDGET / 3 < len(new) <= BUDGET
    assert len(kept) <= BUDGET
    assert max(new) - min(new) > 0.95 * more - 5
