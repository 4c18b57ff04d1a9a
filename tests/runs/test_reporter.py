"""What a run remembers for its figures: everything of an ordinary run, and no more memory for one without end."""

from __future__ import annotations

from itertools import pairwise

from annpipe.runs.reporter import MAX_POINTS, PlotSeries


def test_an_ordinary_series_is_remembered_whole() -> None:
    """Every point, in its order."""
    series = PlotSeries()
    for epoch in range(1, MAX_POINTS + 1):
        series.add(epoch, epoch / 2)
    assert series.epochs.tolist() == list(range(1, MAX_POINTS + 1))
    assert series.values[-1] == MAX_POINTS / 2


def test_a_series_without_end_takes_no_more_memory() -> None:
    """Points at equal distances, the first among them, from which the last is not far."""
    series = PlotSeries()
    for epoch in range(1, 10 * MAX_POINTS + 1):
        series.add(epoch, epoch / 2)
    assert MAX_POINTS / 2 <= len(series.epochs) <= MAX_POINTS
    assert series.epochs[0] == 1
    assert {after - before for before, after in pairwise(series.epochs)} == {series.stride}
    assert series.epochs[-1] > 10 * MAX_POINTS - series.stride
    assert all(value == epoch / 2 for epoch, value in zip(series.epochs, series.values, strict=True))
