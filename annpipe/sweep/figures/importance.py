"""The figure `importance`: the fraction of the metric's variance that each parameter explains by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from annpipe.sweep.figures.page import LOST, TRIAL, text, titled
from annpipe.sweep.figures.scales import Heights, Scale, final, finite
from annpipe.sweep.results.table import SweepResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 10  # points below which a share is mere luck
MOST_PARAMETERS = 20


@dataclass(frozen=True)
class TrialPoint:
    """The values of a trial, or of trials that are repetitions of one another, and the height of their metric."""

    values: Mapping[str, Any]
    height: float


def draw_importance(swept: SweepResult) -> Figure | None:
    """A bar for each parameter, the longest first; None for fewer than two parameters or ten points."""
    scales = [Scale.of(swept, axis.path) for axis in swept.axes if not axis.is_repeat]
    points = points_of(swept)
    if len(scales) < 2 or len(points) < FEWEST or len({point.height for point in points}) < 2:
        return None
    by_path = {scale.path: explained_variance(points, scale) for scale in scales}
    largest = dict(sorted(by_path.items(), key=lambda item: -item[1])[:MOST_PARAMETERS])
    rest = max(0.0, 1.0 - sum(by_path.values()))
    names = [*map(text, largest), "interactions and noise"]
    values = [*largest.values(), rest]
    counted = f"{len(points)} {'means over repetitions' if swept.groups else 'trials'}"
    figure = titled(swept, f"importance, of {counted}", 7.2, 1.5 + 0.36 * len(names))
    panel = figure.subplots()
    colours = [TRIAL] * len(largest) + [LOST]
    panel.barh(range(len(names)), values, color=colours, height=0.62)
    for y, value in enumerate(values):
        panel.text(value + 0.01, y, f"{100 * value:.0f} %", va="center", fontsize=9)
    panel.set_yticks(range(len(names)), names)
    panel.invert_yaxis()
    panel.grid(visible=False, axis="y")
    panel.set_xlim(0, max(1.0, *values) * 1.08)
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    metric = f"log {swept.goal.metric}" if Heights.of(swept).is_log else swept.goal.metric
    panel.set_xlabel(text(f"fraction of the variance of {metric} explained by it alone"))
    return figure


def points_of(swept: SweepResult) -> list[TrialPoint]:
    """Every trial with a finite value, or the mean of each group of repetitions, at its height in the figures."""
    heights = Heights.of(swept)
    if swept.groups:
        means = [(group.values, group.spread.mean) for group in swept.groups]
        return [TrialPoint(values, heights.position(mean)) for values, mean in means if math.isfinite(mean)]
    return [TrialPoint(result.values, heights.position(final(swept, result))) for result in finite(swept)]


def explained_variance(points: Sequence[TrialPoint], scale: Scale) -> float:
    """Between 0 and 1: the effect of a parameter alone, ε² of a one-way analysis of variance.

    ε² = (between - (k - 1) within / (n - k)) / total, of sums of squares over n points in k levels (Kelley, 1935): what
    chance would explain is taken off. On a full grid it is the main effect of a functional analysis of variance. Levels
    are the values, and ranges with as many points each where numbers have many.
    """
    levels = _levels(points, scale)
    n, k = len(points), len(levels)
    if k < 2 or n <= k:
        return 0.0
    mean = fmean(point.height for point in points)
    total = sum((point.height - mean) ** 2 for point in points)
    between = sum(len(level) * (fmean(level) - mean) ** 2 for level in levels)
    return max(0.0, (between - (k - 1) * (total - between) / (n - k)) / total)


def _levels(points: Sequence[TrialPoint], scale: Scale) -> list[list[float]]:
    ordered = sorted(points, key=lambda point: scale.position(point.values[scale.path]))
    positions = [scale.position(point.values[scale.path]) for point in ordered]
    most = max(3, round(math.sqrt(len(points)) / 1.3))
    levels: dict[float, list[float]] = {}
    are_many = scale.is_number and len(set(positions)) > max(most, len(points) / 3)
    for rank, (position, point) in enumerate(zip(positions, ordered, strict=True)):
        level = float(rank * most // len(points)) if are_many else position
        levels.setdefault(level, []).append(point.height)
    return list(levels.values())
