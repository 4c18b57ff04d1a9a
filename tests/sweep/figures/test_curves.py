"""The figure of the metric over the epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from annpipe.sweep.figures.curves import MOST_POINTS, draw_curves
from annpipe.sweep.figures.page import COLOURS
from tests.sweep.figures.swept import GRID, LR, curves_of, loss, sweep, words


def test_curves_name_the_best_and_count_the_others() -> None:
    """Seven in colour."""
    shown = words(draw_curves(swept := sweep(GRID, loss), curves_of(swept)))
    assert "lr 0.01, model.1 ReLU" in shown
    assert "the 5 others" in shown


def coloured(figure: Any) -> list[Any]:
    """The lines of the best groups or trials, the best first."""
    return [line for line in figure.axes[0].lines if line.get_color() in COLOURS]


def test_the_line_of_a_group_is_the_mean_with_its_interval() -> None:
    """At each epoch: NumPy's mean, SciPy's interval."""
    rng = np.random.default_rng(0)
    swept = sweep({LR: [1e-3, 1e-2], "seed": range(5)}, lambda values: values[LR] * 100 + values["seed"])
    values = rng.normal(5, 1, (10, 4))
    figure = draw_curves(swept, {number: ([1, 2, 3, 4], row.tolist()) for number, row in enumerate(values)})
    best, other = coloured(figure)
    assert best.get_xdata().tolist() == [1, 2, 3, 4]
    assert best.get_ydata() == pytest.approx(values[:5].mean(0))
    assert other.get_ydata() == pytest.approx(values[5:].mean(0))
    band = figure.axes[0].collections[0].get_paths()[0].vertices  # type: ignore[union-attr]  # drawn: the lines are there
    low, high = stats.t.interval(0.95, 4, loc=values[:5].mean(0), scale=stats.sem(values[:5]))
    for epoch in range(4):
        at_epoch = band[band[:, 0] == epoch + 1, 1]
        assert (at_epoch.min(), at_epoch.max()) == pytest.approx((low[epoch], high[epoch]), rel=1e-4)


def test_a_mean_goes_as_far_as_all_of_its_trials() -> None:
    """A trial that was stopped early ends the line of its group, and one of a single epoch is left out."""
    swept = sweep({LR: [1e-3], "seed": range(3)}, lambda values: 1.0)
    curves = {0: ([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0]), 1: ([1, 2, 3], [2.0, 1.0, 0.0]), 2: ([1], [9.0])}
    (line,) = coloured(draw_curves(swept, curves))
    assert line.get_ydata().tolist() == [3.0, 2.0, 1.0]


def test_curves_of_a_single_epoch_are_no_figure() -> None:
    """A dot is no curve."""
    swept = sweep({LR: [1e-3, 1e-2]}, loss)
    assert draw_curves(swept, {0: ([1], [1.0]), 1: ([1], [2.0])}) is None


@pytest.mark.parametrize(("last", "scale"), [(0.5, "linear"), (0.01, "log")])
def test_losses_over_decades_are_on_a_logarithmic_axis(last: float, scale: str) -> None:
    """The frame holds the whole line."""
    figure = draw_curves(sweep({LR: [1e-3]}, loss), {0: ([1, 2, 3], [1.0, 0.7, last])})
    assert figure is not None
    low, high = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == scale
    assert low < last
    assert high > 1.0


def test_a_long_curve_is_thinned_but_keeps_both_ends() -> None:
    """An SVG of a hundred thousand epochs would not open."""
    epochs = list(range(1, 100_001))
    (line,) = coloured(draw_curves(sweep({LR: [1e-3]}, loss), {0: (epochs, [float(-epoch) for epoch in epochs])}))
    xs, ys = line.get_xdata(), line.get_ydata()
    assert len(xs) <= MOST_POINTS + 1
    assert (xs[0], xs[-1]) == (1, 100_000)
    assert [-float(x) for x in xs] == list(ys)
