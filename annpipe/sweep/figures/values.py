"""The figure `values`: the metric against each parameter, every trial a dot, with a line through the means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from annpipe.sweep.figures.page import BEST, LOST, MEAN, TRIAL, legend_below, plain_logarithms, short, text, titled
from annpipe.sweep.figures.scales import Heights, Scale, final, finite, lost
from annpipe.sweep.results.table import SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IN_A_ROW = 4
FEW = 6  # values that have a tick each
MOST_TICKS = 24


def draw_values(swept: SweepResult) -> Figure:
    """A panel for each swept value; repetitions have one only where nothing else is swept."""
    shown = [axis for axis in swept.axes if not axis.is_repeat] or list(swept.axes)
    columns = min(len(shown), IN_A_ROW)
    rows = -(-len(shown) // columns)
    figure = titled(swept, f"{swept.goal.metric} by value", max(6.4, 3.4 * columns), 0.9 + 3.3 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    heights = Heights.of(swept)
    for panel, axis in zip(panels, shown, strict=False):
        _draw(swept, panel, Scale.of(swept, axis.path), heights, is_line=len(shown) == 1 and not axis.is_repeat)
    for row in grid:
        row[0].set_ylabel(text(swept.goal.metric))
    if heights.is_log:
        panels[0].set_yscale("log")
        plain_logarithms(panels[0].yaxis, *heights.limits)
    legend_below(figure, _fullest(panels[: len(shown)]), 5)
    return figure


def _draw(swept: SweepResult, panel: Axes, scale: Scale, heights: Heights, *, is_line: bool) -> None:
    _lay_out(panel, scale)
    dots = [(_at(scale, result.values[scale.path]), final(swept, result)) for result in finite(swept)]
    within = [(x, y) for x, y in dots if not heights.is_beyond(y)]
    panel.plot(*zip(*within, strict=True), "o", color=TRIAL, alpha=0.55, markersize=5, markeredgewidth=0, label="trial")
    means = _means(scale, dots, heights)
    if is_line or len(means) < len(dots):
        label = "mean" if len(means) < len(dots) else None
        panel.plot(*zip(*means, strict=True), "-", color=MEAN, linewidth=1.2, label=label)
    if len(within) < len(dots):
        far = [(x, heights.worst) for x, y in dots if heights.is_beyond(y)]
        label = f"worse than {heights.worst:.4g}"
        mark = "v" if heights.higher else "^"
        panel.plot(*zip(*far, strict=True), mark, color=TRIAL, markersize=6, clip_on=False, label=label)
    gone = [_at(scale, result.values[scale.path]) for result in lost(swept)]
    if gone:
        edge = panel.get_xaxis_transform()
        look: dict[str, Any] = {"color": LOST, "markersize": 6, "clip_on": False, "label": "failed or not finite"}
        panel.plot(gone, [1.0] * len(gone), "x", transform=edge, **look)
    best = swept.best
    assert best is not None
    value = final(swept, best)
    star: dict[str, Any] = {"color": BEST, "markersize": 13, "markeredgecolor": "white", "markeredgewidth": 0.6}
    label = f"first trial of the best mean: {value:.4g}" if swept.groups else f"best: {value:.4g}"
    panel.plot(_at(scale, best.values[scale.path]), value, "*", label=label, zorder=5, **star)


def _means(scale: Scale, dots: Sequence[tuple[float, float]], heights: Heights) -> list[tuple[float, float]]:
    by_position: dict[float, list[float]] = {_at(scale, value): [] for value in scale.values}
    for x, y in dots:
        by_position[x].append(heights.shown(y))
    return [(x, sum(values) / len(values)) for x, values in by_position.items() if values]


def _at(scale: Scale, value: object) -> float:
    """Where a value stands on matplotlib's axis, which takes logarithms itself."""
    return float(value) if scale.is_number and isinstance(value, int | float) else scale.position(value)


def _lay_out(panel: Axes, scale: Scale) -> None:
    panel.set_xlabel(text(scale.path))
    if scale.is_log:
        panel.set_xscale("log")
    if scale.is_number and len(scale.values) <= FEW:
        panel.set_xticks([float(value) for value in scale.values], [short(value) for value in scale.values])
        panel.minorticks_off()
    elif not scale.is_number:
        step = -(-len(scale.values) // MOST_TICKS)
        names = [short(value, 16) for value in scale.values][::step]
        panel.set_xticks(range(0, len(scale.values), step), names)
        if sum(map(len, names)) > 30:
            for label in panel.get_xticklabels():
                label.set(rotation=35, ha="right", rotation_mode="anchor")
        panel.set_xlim(-0.5, len(scale.values) - 0.5)


def _fullest(panels: Sequence[Axes]) -> Axes:
    """The panel with the longest legend, which speaks for all."""
    return max(panels, key=lambda panel: len(panel.get_legend_handles_labels()[1]))
