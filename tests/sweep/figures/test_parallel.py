"""Parallel coordinates: where the lines of trials cross the axes, and when there is no such figure."""

from __future__ import annotations

import math
from typing import Any

import pytest

from annpipe.sweep.figures.page import BEST, LOST
from annpipe.sweep.figures.parallel import LOST_AT, MOST_AXES, MOST_LINES, draw_parallel
from annpipe.sweep.results.table import SweepResult
from tests.sweep.figures.swept import GRID, LAYER, LR, loss, sweep, words


def drawn(swept: SweepResult) -> Any:
    figure = draw_parallel(swept)
    assert figure is not None
    return figure


def crossings(line: Any) -> list[float]:
    """The heights at which the curve of a trial crosses the axes."""
    vertices = line.get_path().vertices
    return [float(vertices[0][1]), *(float(y) for _, y in vertices[3::3])]


def best_crossings(figure: Any) -> list[float]:
    """The heights of the dots on the line of the best trial."""
    (dots,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots.get_color() == BEST
    return [float(y) for y in dots.get_ydata()]


def test_the_best_trial_stands_out() -> None:
    """By its value on the last axis; lost trials are counted."""
    swept = sweep(GRID, lambda values: None if values[LR] > 0.05 else loss(values))
    shown = words(drawn(swept))
    assert {"0.01", "ReLU", "Sigmoid", "optimizer.Adam\nlr", "val/loss", "3 failed or\nnot finite"} <= set(shown)


def test_a_line_crosses_each_axis_at_its_value() -> None:
    """A number between the least and the greatest, by its logarithm where these are spread evenly."""
    space = {LR: [1e-4, 1e-3, 1e-2, 1e-1], "train.batch_size": [10, 20, 30, 60]}
    swept = sweep(space, lambda values: 10.0 + math.log10(values[LR]) + values["train.batch_size"] / 100)
    found = {tuple(round(y, 6) for y in crossings(patch)) for patch in drawn(swept).axes[0].patches}
    expected = set()
    for result in swept.results:
        lr, size, value = (*result.values.values(), result.finals["val/loss"])
        low, high = 10 - 4 + 0.1, 10 - 1 + 0.6
        heights = ((math.log10(lr) + 4) / 3, (size - 10) / 50, (value - low) / (high - low))
        expected.add(tuple(round(y, 6) for y in heights))
    assert found == expected


@pytest.mark.parametrize(("higher", "last"), [(False, 0.0), (True, 1.0)])
def test_the_dots_are_on_the_line_of_the_best_trial(higher: bool, last: float) -> None:
    """At the lower end of the last axis where small values are good, at its upper end where large ones are."""
    swept = sweep({LR: [1, 2, 3], "seed_of_data": [5, 6]}, lambda values: values[LR] + values["seed_of_data"],
                  higher=higher)  # fmt: skip
    assert best_crossings(drawn(swept)) == [last, last, last]


def test_lines_with_the_same_name_lie_side_by_side() -> None:
    """None on top of another, all nearer to their own name than to the next."""
    swept = sweep(GRID, loss)
    at_name: dict[str, set[float]] = {"ReLU": set(), "Tanh": set(), "Sigmoid": set()}
    centres = {"ReLU": 0.07, "Tanh": 0.5, "Sigmoid": 0.93}
    lines = {round(crossings(patch)[1], 9) for patch in drawn(swept).axes[0].patches}
    for y in lines:
        at_name[min(centres, key=lambda name: abs(centres[name] - y))].add(y)
    assert {name: len(heights) for name, heights in at_name.items()} == {"ReLU": 4, "Tanh": 4, "Sigmoid": 4}
    assert all(abs(y - centres[name]) < 0.43 / 2 for name, heights in at_name.items() for y in heights)


def test_lost_trials_are_dashed_lines_below_the_metric() -> None:
    """They show at which values trials fail."""
    swept = sweep(GRID, lambda values: math.nan if values[LR] > 0.05 else loss(values))
    dashed = [patch for patch in drawn(swept).axes[0].patches if patch.get_linestyle() == "--"]
    assert [crossings(patch)[-1] for patch in dashed] == [LOST_AT] * 3
    assert {crossings(patch)[0] for patch in dashed} == {1.0}  # the greatest rate
    from matplotlib.colors import to_hex

    assert {to_hex(patch.get_edgecolor()) for patch in dashed} == {LOST}


@pytest.mark.parametrize(
    ("space", "is_drawn"),
    [
        ({LR: [1e-3, 1e-2]}, False),
        ({LR: [1e-3, 1e-2], LAYER: ["ReLU"]}, False),
        ({LR: [1e-3, 1e-2], "seed": [0, 1]}, False),
        ({LR: [1e-3, 1e-2], LAYER: ["ReLU", "Tanh"]}, True),
    ],
    ids=["one", "one with two values", "one and repetitions", "two"],
)
def test_there_is_a_figure_of_two_or_more_parameters_with_two_values(space: dict[str, Any], is_drawn: bool) -> None:
    """Repetitions and parameters with a single value have no axis."""
    assert (draw_parallel(sweep(space, loss)) is not None) == is_drawn


def test_more_axes_than_fit_are_no_figure() -> None:
    """Ten are drawn, eleven are not."""

    def of_axes(count: int) -> SweepResult:
        whole = sweep({f"p{number}": [0, 1] for number in range(2)}, lambda values: 1.0 + values["p0"])
        results = tuple(
            type(result)(result.number, {f"p{n}": result.values[f"p{n % 2}"] for n in range(count)}, None,
                         result.status, result.finals)
            for result in whole.results
        )  # fmt: skip
        axes = tuple(type(whole.axes[0])(f"p{number}", ()) for number in range(count))
        return SweepResult("wide", axes, whole.goal, results)

    assert draw_parallel(of_axes(MOST_AXES)) is not None
    assert draw_parallel(of_axes(MOST_AXES + 1)) is None


def test_of_very_many_trials_the_best_are_drawn() -> None:
    """The title says of how many."""
    swept = sweep({"a": range(28), "b": range(20)}, lambda values: 100.0 + values["a"] * 20 + values["b"])
    figure = drawn(swept)
    assert len(figure.axes[0].patches) == MOST_LINES + 2  # the best one is drawn above the others, with a border
    assert f"the best {MOST_LINES} of 560 trials" in figure.get_suptitle()
    assert max(crossings(patch)[0] for patch in figure.axes[0].patches) == pytest.approx(24 / 27)
