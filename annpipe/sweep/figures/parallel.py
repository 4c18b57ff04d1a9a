"""The figure `parallel`: parallel coordinates, each trial a line through its values to its metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from annpipe.sweep.figures.page import BEST, LOST, path_label, short, text, titled
from annpipe.sweep.figures.scales import Heights, Scale, final, finite, lost
from annpipe.sweep.results.table import Result, SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MOST_LINES = 500  # the best are shown
MOST_AXES = 10
MOST_TICKS = 12
NAMES_WITHIN = 0.86  # the part of an axis that its names take
LOST_AT = -0.09  # below the metric's axis


def draw_parallel(swept: SweepResult) -> Figure | None:
    """An axis for each of two or more parameters and one for the metric, whose colour the lines have; else None."""
    scales = [Scale.of(swept, axis.path) for axis in swept.axes if not axis.is_repeat]
    scales = [scale for scale in scales if len(scale.values) > 1]
    if not 2 <= len(scales) <= MOST_AXES:
        return None
    import matplotlib

    colours = matplotlib.colormaps["cividis" if not swept.goal.higher else "cividis_r"]
    trials = finite(swept)
    drawn, gone = trials[:MOST_LINES], lost(swept)[:MOST_LINES]
    several = f", the best {len(drawn)} of {len(trials)} trials" if len(drawn) < len(trials) else ""
    figure = titled(swept, f"{swept.goal.metric} by all values{several}", max(7.2, 1.9 * (len(scales) + 1)), 4.6)
    panel = figure.subplots()
    panel.set_axis_off()
    panel.set(xlim=(-0.3, len(scales) + 0.35), ylim=(-0.14, 1.16))
    heights = Heights.of(swept)
    limits = _limits([heights.position(final(swept, result)) for result in trials])
    slots = _slots(scales, [*drawn, *gone])
    for result in reversed(drawn):
        ys = [*slots[result.number], _fraction(heights.position(final(swept, result)), limits)]
        _line(panel, ys, colours(0.94 * ys[-1]), 0.9 if len(drawn) > 100 else 1.2, 0.75)
    for result in gone:
        _line(panel, [*slots[result.number], LOST_AT], LOST, 0.8, 0.6, dashed=True)
    for x, scale in enumerate(scales):
        _axis(panel, x, path_label(scale.path), _ticks(scale))
    _metric_axis(swept, panel, len(scales), heights, limits, colours)
    if gone:
        panel.text(len(scales) + 0.04, LOST_AT, f"{len(lost(swept))} failed or\nnot finite", va="center", fontsize=8)
    best = swept.best
    assert best is not None
    ys = [*slots.get(best.number, _places(scales, best)), _fraction(heights.position(final(swept, best)), limits)]
    _line(panel, ys, "white", 4.6, 1.0)
    _line(panel, ys, BEST, 2.4, 1.0)
    panel.plot(range(len(ys)), ys, "o", color=BEST, markersize=5.5, markeredgecolor="white", zorder=6)
    return figure


def _places(scales: Sequence[Scale], trial: Result) -> list[float]:
    """Between 0 and 1 on each axis."""
    return [_height(scale, trial.values[scale.path]) for scale in scales]


def _height(scale: Scale, value: object) -> float:
    """Names keep a distance from the ends of their axis, since lines lie on both sides of them."""
    fraction = _fraction(scale.position(value), scale.limits)
    return fraction if scale.is_number else 0.5 + NAMES_WITHIN * (fraction - 0.5)


def _slots(scales: Sequence[Scale], trials: Sequence[Result]) -> dict[int, list[float]]:
    """The same by trial, where lines with the same name lie side by side: the better ones above."""
    slots = {trial.number: _places(scales, trial) for trial in trials}
    for x, scale in enumerate(scales):
        if scale.is_number:
            continue
        gap = NAMES_WITHIN / (len(scale.values) - 1)
        by_position: dict[float, list[int]] = {}
        for trial in trials:
            by_position.setdefault(slots[trial.number][x], []).append(trial.number)
        for numbers in by_position.values():
            for rank, number in enumerate(numbers):
                slots[number][x] += gap * min(0.4, 0.05 * len(numbers)) * (0.5 - (rank + 0.5) / len(numbers))
    return slots


def _fraction(position: float, limits: tuple[float, float]) -> float:
    return (position - limits[0]) / (limits[1] - limits[0])


def _limits(places: Sequence[float]) -> tuple[float, float]:
    low, high = min(places), max(places)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _line(
    panel: Axes, ys: Sequence[float], colour: object, width: float, alpha: float, *, dashed: bool = False
) -> None:
    """A curve that leaves and reaches every axis at a right angle, so that it can be followed through it."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points, codes = [(0.0, ys[0])], [Path.MOVETO]
    for x, (begin, end) in enumerate(pairwise(ys)):
        points += [(x + 0.4, begin), (x + 0.6, end), (x + 1.0, end)]
        codes += [Path.CURVE4] * 3
    look = {"edgecolor": colour, "linewidth": width, "alpha": alpha, "linestyle": "--" if dashed else "-"}
    panel.add_patch(PathPatch(Path(points, codes), facecolor="none", zorder=2 if width < 2 else 5, **look))


def _axis(panel: Axes, x: float, name: str, ticks: Mapping[float, str]) -> None:
    panel.plot([x, x], [0, 1], color="#5a5a5a", linewidth=1.0, zorder=4)
    panel.text(x, 1.05, name, ha="center", va="bottom", fontweight="bold", fontsize=9)
    for y, label in ticks.items():
        panel.plot([x - 0.015, x + 0.015], [y, y], color="#5a5a5a", linewidth=1.0, zorder=4)
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8}
        panel.text(x - 0.03, y, label, ha="right", va="center", fontsize=8, bbox=box, zorder=7)


def _ticks(scale: Scale) -> dict[float, str]:
    """The labels of an axis by place: each value where there are few, else round numbers."""
    if not scale.is_number or len(scale.values) <= MOST_TICKS:
        step = math.ceil(len(scale.values) / MOST_TICKS)
        ticks = {_height(scale, value): short(value, 16) for value in scale.values[::step]}
        if not scale.is_number or _are_apart(list(ticks)):
            return ticks
    return _round_ticks(scale.limits, is_log=scale.is_log)


def _are_apart(places: Sequence[float]) -> bool:
    return all(after - before > 0.05 for before, after in pairwise(places))


def _round_ticks(limits: tuple[float, float], *, is_log: bool) -> dict[float, str]:
    from matplotlib.ticker import LogLocator, MaxNLocator

    if not is_log:
        values = [float(value) for value in MaxNLocator(6).tick_values(*limits)]
        return {y: f"{value:.5g}" for value in values if 0 <= (y := _fraction(value, limits)) <= 1}
    low, high = (10**limit for limit in limits)
    subs = (1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)
    values = [float(value) for value in LogLocator(subs=subs, numticks=9).tick_values(low, high)]
    return {y: f"{value:.5g}" for value in values if 0 <= (y := _fraction(math.log10(value), limits)) <= 1}


def _metric_axis(
    swept: SweepResult, panel: Axes, x: float, heights: Heights, limits: tuple[float, float], colours: Colormap
) -> None:
    """The last axis, which is also the key to the colours."""
    import numpy as np

    shades = colours(np.linspace(0, 0.94, 256))[:, None]
    panel.imshow(shades, extent=(x, x + 0.05, 0, 1), origin="lower", aspect="auto", zorder=4)
    best = final(swept, swept.best) if swept.best else math.nan
    panel.text(x, 1.05, text(swept.goal.metric), ha="center", va="bottom", fontweight="bold", fontsize=9)
    at = _fraction(heights.position(best), limits)
    edge = _fraction(heights.position(heights.worst), limits)
    for y, label in _round_ticks(limits, is_log=heights.is_log).items():
        if abs(y - at) > 0.05 and not (heights.is_cut and abs(y - edge) < 0.05):
            panel.text(x + 0.08, y, label, ha="left", va="center", fontsize=8)
    panel.text(x + 0.08, at, f"{best:.4g}", ha="left", va="center", fontsize=9, color=BEST, fontweight="bold")
    if heights.is_cut:
        sign = "≤" if heights.higher else "≥"
        panel.text(x + 0.08, edge, f"{sign} {heights.worst:.4g}", ha="left", va="center", fontsize=8)
