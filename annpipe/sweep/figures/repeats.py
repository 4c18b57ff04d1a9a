"""The figure `repeats`: for each group of seeds or folds its values, their mean and its 95 % interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from annpipe.spec.sections.axes import REPEATS
from annpipe.sweep.figures.page import BEST, LOST, TRIAL, legend_below, plain_logarithms, text, titled, values_label
from annpipe.sweep.figures.scales import Heights, final
from annpipe.sweep.results.table import RepeatGroup, SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_GROUPS = 24


def draw_repeats(swept: SweepResult) -> Figure | None:
    """A row for each of the best groups, the best above; None where nothing is repeated."""
    groups = swept.groups
    if not groups:
        return None
    shown = groups[:MOST_GROUPS]
    over = " and ".join(REPEATS[axis.path] for axis in swept.axes if axis.is_repeat)
    several = f", the best {len(shown)} of {len(groups)}" if len(shown) < len(groups) else ""
    figure = titled(swept, f"{swept.goal.metric} over {over}{several}", 7.6, 1.8 + 0.34 * len(shown))
    panel = figure.subplots()
    heights = Heights.of(swept)
    if heights.is_log:
        panel.set_xscale("log")
        plain_logarithms(panel.xaxis, *heights.limits)
    for row, group in enumerate(shown):
        _draw(swept, panel, row, group, heights)
    names = [values_label(swept, group.values, 56) or f"{len(group.trials)} trials" for group in shown]
    panel.set_yticks(range(len(shown)), names)
    panel.set_ylim(len(shown) - 0.4, -0.6)
    panel.grid(visible=False, axis="y")
    panel.set_xlabel(text(swept.goal.metric))
    legend_below(figure, panel, 4)
    return figure


def _draw(swept: SweepResult, panel: Axes, row: int, group: RepeatGroup, heights: Heights) -> None:
    """Values as faint dots, the mean as a full one with its interval, and both in numbers at the right."""
    by_number = {result.number: result for result in swept.results}
    values = [final(swept, by_number[number]) for number in group.trials]
    finite = [heights.shown(value) for value in values if math.isfinite(value)]
    panel.plot(
        finite, [row + 0.24] * len(finite), "o", color=TRIAL, alpha=0.45, markersize=4, markeredgewidth=0, zorder=2,
        label="trial" if row == 0 else None,
    )  # fmt: skip
    spread = group.spread
    at = panel.get_yaxis_transform()
    if not math.isfinite(spread.mean):
        label = f"{len(values) - len(finite)} of {len(values)} not finite"
        panel.text(1.01, row, label, transform=at, va="center", fontsize=8.5, color=LOST)
        return
    half = spread.half_width if math.isfinite(spread.half_width) else 0.0
    low = max(spread.mean - half, spread.mean * 0.1) if heights.is_log else spread.mean - half
    colour = BEST if row == 0 else TRIAL
    panel.errorbar(
        heights.shown(spread.mean), row, xerr=[[spread.mean - low], [half]], fmt="D", color=colour, markersize=5,
        capsize=3.5, elinewidth=1.6, zorder=3, label="mean with its 95 % interval" if row == 0 else None,
    )  # fmt: skip
    label = f"{spread.mean:.4g} ± {half:.2g}" if half else f"{spread.mean:.4g}"
    panel.text(1.01, row, label, transform=at, va="center", fontsize=8.5, color=colour if row == 0 else "#262626")
