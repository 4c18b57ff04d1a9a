"""How sure is a result? For each group of seeds or folds its values, their mean and the 95 % interval of the mean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from annpipe.spec.sections.axes import REPEATS
from annpipe.sweep.figures.page import BEST, LOST, TRIAL, legend_below, plain_logarithms, text, titled, values_said
from annpipe.sweep.figures.scales import Heights, final
from annpipe.sweep.results.table import Group, SweepResult

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
        plain_logarithms(panel.xaxis, *heights.ends)
    for row, group in enumerate(shown):
        _draw(swept, panel, row, group, heights)
    names = [values_said(swept, one.values, 56) or f"{len(one.trials)} trials" for one in shown]
    panel.set_yticks(range(len(shown)), names)
    panel.set_ylim(len(shown) - 0.4, -0.6)
    panel.grid(visible=False, axis="y")
    panel.set_xlabel(text(swept.goal.metric))
    legend_below(figure, panel, 4)
    return figure


def _draw(swept: SweepResult, panel: Axes, row: int, group: Group, heights: Heights) -> None:
    """Values as faint dots, the mean as a full one with its interval, and both in numbers at the right."""
    by_number = {result.number: result for result in swept.results}
    values = [final(swept, by_number[number]) for number in group.trials]
    finite = [heights.shown(value) for value in values if math.isfinite(value)]
    panel.plot(
        finite, [row + 0.24] * len(finite), "o", color=TRIAL, alpha=0.45, markersize=4, markeredgewidth=0, zorder=2,
        label="trial" if row == 0 else None,
    )  # fmt: skip
    one = group.spread
    at = panel.get_yaxis_transform()
    if not math.isfinite(one.mean):
        said = f"{len(values) - len(finite)} of {len(values)} not finite"
        panel.text(1.01, row, said, transform=at, va="center", fontsize=8.5, color=LOST)
        return
    half = one.half_width if math.isfinite(one.half_width) else 0.0
    low = max(one.mean - half, one.mean * 0.1) if heights.is_log else one.mean - half
    colour = BEST if row == 0 else TRIAL
    panel.errorbar(
        heights.shown(one.mean), row, xerr=[[one.mean - low], [half]], fmt="D", color=colour, markersize=5, capsize=3.5,
        elinewidth=1.6, zorder=3, label="mean with its 95 % interval" if row == 0 else None,
    )  # fmt: skip
    told = f"{one.mean:.4g} ± {half:.2g}" if half else f"{one.mean:.4g}"
    panel.text(1.01, row, told, transform=at, va="center", fontsize=8.5, color=colour if row == 0 else "#262626")
