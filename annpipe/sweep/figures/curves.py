"""The figure `curves`: the metric over the epochs for the best values, with the 95 % interval of repetitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from annpipe.statistics import Spread, spread
from annpipe.sweep.figures.page import COLOURS, LOST, legend_below, plain_logarithms, text, titled, values_label
from annpipe.sweep.figures.scales import spans_decades
from annpipe.sweep.results.table import SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[Sequence[int], Sequence[float]]
MOST_FAINT = 200  # lines behind those in colour
MOST_POINTS = 1000  # of a line


def draw_curves(swept: SweepResult, curves: Mapping[int, Curve]) -> Figure | None:
    """A coloured line for each of the best groups or trials, faint ones for the others; None of a single epoch."""
    drawn: list[tuple[Mapping[str, Any], Sequence[int]]] = [(group.values, group.trials) for group in swept.groups]
    drawn = drawn or [(result.values, (result.number,)) for result in swept.ordered()]
    drawn = [(values, [n for n in trials if len(curves[n][0]) > 1]) for values, trials in drawn]
    drawn = [(values, trials) for values, trials in drawn if trials]
    if not drawn:
        return None
    from matplotlib.ticker import MaxNLocator

    coloured, faint = drawn[: len(COLOURS)], drawn[len(COLOURS) : len(COLOURS) + MOST_FAINT]
    figure = titled(swept, f"{swept.goal.metric} over the epochs", 7.2, 4.2 + 0.17 * math.ceil(len(coloured) / 2))
    panel = figure.subplots()
    lines = [_mean_curve([curves[n] for n in trials]) for _, trials in coloured]
    if spans_decades(_ends(lines)):
        panel.set_yscale("log")
        plain_logarithms(panel.yaxis, *_ends(lines))
    for index, (_, trials) in enumerate(faint):
        epochs, spreads = _mean_curve([curves[n] for n in trials])
        label = None if index else "the other" if len(faint) == 1 else f"the {len(faint)} others"
        panel.plot(
            epochs, [at_epoch.mean for at_epoch in spreads], color=LOST, alpha=0.3, linewidth=0.7, label=label, zorder=1
        )
    for index, ((values, trials), (epochs, spreads)) in enumerate(zip(coloured, lines, strict=True)):
        shown = {path: value for path, value in values.items() if not _is_averaged(swept, path)}
        mean = f"mean of {len(trials)}" if len(trials) > 1 else ""
        label = "  ".join(filter(None, (values_label(swept, shown, 80), mean))) or "the only trial"
        _draw(panel, epochs, spreads, COLOURS[index], label, 3 + len(coloured) - index)
    _frame(panel, *_ends(lines))
    panel.set(xlabel="epoch", ylabel=text(swept.goal.metric))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, panel, 1 if max(len(label) for label in panel.get_legend_handles_labels()[1]) > 44 else 2)
    return figure


def _mean_curve(curves: Sequence[Curve]) -> tuple[list[int], list[Spread]]:
    """The spread at each epoch that all of them have reached, at equal distances where there are very many."""
    length = min(len(epochs) for epochs, _ in curves)
    places = sorted({*range(0, length, math.ceil(length / MOST_POINTS)), length - 1})
    return [curves[0][0][index] for index in places], [spread([values[p] for _, values in curves]) for p in places]


def _draw(panel: Axes, epochs: Sequence[int], spreads: Sequence[Spread], colour: str, label: str, order: int) -> None:
    panel.plot(epochs, [at_epoch.mean for at_epoch in spreads], color=colour, linewidth=1.5, label=label, zorder=order)
    if any(math.isfinite(at_epoch.half_width) for at_epoch in spreads):
        floor = 0.1 if panel.get_yscale() == "log" else -math.inf  # of its mean: an interval may reach below zero
        low = [max(at_epoch.mean - at_epoch.half_width, at_epoch.mean * floor) for at_epoch in spreads]
        high = [at_epoch.mean + at_epoch.half_width for at_epoch in spreads]
        panel.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0, zorder=2)


def _ends(lines: Sequence[tuple[Sequence[int], Sequence[Spread]]]) -> tuple[float, float]:
    """The least and the greatest mean of all lines; 0 and 0 where none is finite."""
    means = [at_epoch.mean for _, spreads in lines for at_epoch in spreads if math.isfinite(at_epoch.mean)]
    return (min(means), max(means)) if means else (0.0, 0.0)


def _frame(panel: Axes, low: float, high: float) -> None:
    """Shows the coloured lines in full; the others may leave the frame."""
    if low == high:
        return
    if panel.get_yscale() == "log":
        panel.set_ylim(low / (high / low) ** 0.06, high * (high / low) ** 0.06)
    else:
        panel.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _is_averaged(swept: SweepResult, path: str) -> bool:
    return len(swept.groups) > 0 and any(axis.path == path and axis.is_repeat for axis in swept.axes)
