"""The metric against each value: where dots, means, the best trial and lost trials stand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from annpipe.sweep.figures.values import IN_A_ROW, draw_values
from annpipe.sweep.results.table import SweepResult
from tests.sweep.figures.swept import GRID, LAYER, LR, loss, sweep, words


def points(panel: Any, marker: str) -> list[tuple[float, float]]:
    """The points that are drawn with a marker; `-` for those of a line."""
    lines = [line for line in panel.lines if marker in (line.get_marker(), line.get_linestyle())]
    return [(float(x), float(y)) for line in lines for x, y in line.get_xydata()]


def panels(swept: SweepResult) -> list[Any]:
    return [panel for panel in draw_values(swept).axes if panel.axison]


def test_the_best_trial_stands_out() -> None:
    """By its value in the legend, and by a star at it in every panel."""
    swept = sweep(GRID, lambda values: None if values[LR] > 0.05 else loss(values))
    assert "best: 0.01" in words(draw_values(swept))
    rate, layer = panels(swept)
    assert points(rate, "*") == [(0.01, pytest.approx(0.01))]
    assert points(layer, "*") == [(0.0, pytest.approx(0.01))]


def test_every_trial_is_a_dot_at_its_value() -> None:
    """On a logarithmic axis where the values are spread so, named ones in their order."""
    swept = sweep(GRID, loss)
    rate, layer = panels(swept)
    assert rate.get_xscale() == "log"
    order = {"ReLU": 0, "Tanh": 1, "Sigmoid": 2}
    finals = [(result.values, result.finals["val/loss"]) for result in swept.results]
    assert sorted(points(rate, "o")) == sorted((values[LR], final) for values, final in finals)
    assert sorted(points(layer, "o")) == sorted((order[values[LAYER]], final) for values, final in finals)


def test_the_line_goes_through_the_means() -> None:
    """Of all trials with a value."""
    rate, _ = panels(sweep(GRID, loss))
    means = [(lr, sum(loss({LR: lr, LAYER: name}) for name in GRID[LAYER]) / 3) for lr in GRID[LR]]
    assert points(rate, "-") == [(lr, pytest.approx(mean)) for lr, mean in means]


def test_a_line_joins_the_trials_of_a_single_parameter() -> None:
    """But not those of repetitions, which have no order."""
    (panel,) = panels(sweep({LR: GRID[LR]}, loss))
    assert sorted(points(panel, "-")) == sorted(points(panel, "o")) == sorted((lr, loss({LR: lr})) for lr in GRID[LR])
    (panel,) = panels(sweep({"seed": [0, 1, 2]}, lambda values: 1.0 + values["seed"]))
    assert points(panel, "-") == []


def test_lost_trials_are_crosses_at_the_edge() -> None:
    """At their values; those that failed, and those whose loss is not finite."""
    lost = {1e-1: None, 1e-4: math.inf}
    (panel,) = panels(sweep({LR: GRID[LR]}, lambda values: lost.get(values[LR], loss(values))))
    assert sorted(points(panel, "x")) == [(1e-4, 1.0), (1e-1, 1.0)]
    assert len(points(panel, "o")) == 2


def test_a_value_far_off_is_a_triangle_at_the_edge() -> None:
    """Pointing to where it lies."""
    space = {LR: [1, 2, 3, 4, 5, 6, 7, 8]}
    (panel,) = panels(sweep(space, lambda values: 1e6 if values[LR] == 8 else values[LR] / 10 - 1))
    ((x, y),) = points(panel, "^")
    assert x == 8
    assert -0.3 < y < 100
    assert len(points(panel, "o")) == 7
    (panel,) = panels(sweep(space, lambda values: -1e6 if values[LR] == 8 else values[LR] / 10, higher=True))
    assert [x for x, _ in points(panel, "v")] == [8]


def test_repetitions_have_a_panel_only_by_themselves() -> None:
    """Beside other parameters they are averaged."""
    assert [panel.get_xlabel() for panel in panels(sweep({LR: GRID[LR], "seed": [0, 1]}, loss))] == [LR]
    assert [panel.get_xlabel() for panel in panels(sweep({"seed": [0, 1]}, lambda values: 1.0))] == ["seed"]


def test_panels_beyond_a_row_begin_another() -> None:
    """Places that stay empty are not framed."""
    figure = draw_values(sweep({f"p{number}": [1, 2] for number in range(IN_A_ROW + 1)}, lambda values: 1.0))
    assert len(figure.axes) == 2 * IN_A_ROW
    assert [panel.axison for panel in figure.axes] == [True] * (IN_A_ROW + 1) + [False] * (IN_A_ROW - 1)
