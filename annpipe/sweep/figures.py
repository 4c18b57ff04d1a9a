"""What a sweep looks like: its metric against each swept value, and the learning curves with their interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from annpipe.spec.axes import Axis
from annpipe.sweep.statistics import spread
from annpipe.sweep.table import Swept

Curve = tuple[Sequence[int], Sequence[float]]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MOST_CURVES = len(COLOURS)


def draw_figures(swept: Swept, folder: Path, curves: Mapping[int, Curve]) -> list[Path]:
    """Draws the figures of a sweep with finished trials into `folder`; gives their files."""
    if not any(swept.goal.metric in result.finals for result in swept.results):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"values.svg": _values(swept), "curves.svg": _learning(swept, curves)}
    paths = []
    for name, figure in figures.items():
        if figure is not None:
            figure.savefig(folder / name)
            paths.append(folder / name)
    return paths


def _figure(swept: Swept, title: str, panels: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.4, 3.6 * panels), 4.0), layout="constrained")
    axes = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    name = swept.name.replace("$", r"\$")
    figure.suptitle(f"{name} · {title}", x=0.01, ha="left", fontweight="bold", fontsize=11)
    for one in axes:
        one.grid(color="#e4e4e4", linewidth=0.7)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _values(swept: Swept) -> Any:
    """A panel for each swept value: every trial a dot, the mean of each value a line."""
    shown = [axis for axis in swept.axes if not axis.is_repeat] or list(swept.axes)
    figure, panels = _figure(swept, f"{swept.goal.metric} by value", len(shown))
    finished = [result for result in swept.results if math.isfinite(result.finals.get(swept.goal.metric, math.nan))]
    for panel, axis in zip(panels, shown, strict=True):
        places = _places(axis, panel)
        dots = [(places[str(result.values[axis.path])], result.finals[swept.goal.metric]) for result in finished]
        panel.plot(*zip(*dots, strict=True), "o", color=COLOURS[0], alpha=0.5, markersize=5, markeredgewidth=0)
        means = [(at, [y for x, y in dots if x == at]) for at in dict.fromkeys(places.values())]
        line = [(at, sum(own) / len(own)) for at, own in means if own]
        panel.plot(*zip(*line, strict=True), "-", color=COLOURS[1], linewidth=1.4, label="mean")
        panel.set_xlabel(axis.path)
    panels[0].set_ylabel(swept.goal.metric)
    _mark_best(swept, panels, shown)
    panels[-1].legend()
    return figure


def _places(axis: Axis, panel: Any) -> dict[str, float]:
    """Where each value stands on the axis: at its number, on a logarithmic one where they span decades, or in order."""
    numbers = [value for value in axis.values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(axis.values):
        if min(numbers) > 0 and max(numbers) / min(numbers) >= 20:
            panel.set_xscale("log")
        return {str(value): float(value) for value in numbers}
    panel.set_xticks(range(len(axis.values)), [_short(value) for value in axis.values])
    return {str(value): float(place) for place, value in enumerate(axis.values)}


def _short(value: Any) -> str:
    text = str(value).replace("$", r"\$")
    return text if len(text) <= 18 else f"{text[:17]}…"


def _mark_best(swept: Swept, panels: Sequence[Any], axes: Sequence[Axis]) -> None:
    best = swept.best
    if best is None:
        return
    for panel, axis in zip(panels, axes, strict=True):
        at = _places(axis, panel)[str(best.values[axis.path])]
        label = f"best: {best.finals[swept.goal.metric]:.4g}"
        panel.plot(at, best.finals[swept.goal.metric], "*", color="#D55E00", markersize=13, label=label)


def _is_repeat(swept: Swept, path: str) -> bool:
    return any(axis.path == path and axis.is_repeat for axis in swept.axes) and len(swept.groups) > 0


def _learning(swept: Swept, curves: Mapping[int, Curve]) -> Any:
    """The metric over the epochs: a line for each of the best groups, with the 95 % interval of their repetitions."""
    drawn: list[tuple[Mapping[str, Any], Sequence[int]]] = [(group.values, group.trials) for group in swept.groups]
    drawn = drawn or [(result.values, (result.number,)) for result in swept.ordered()]
    drawn = [(values, [n for n in trials if len(curves[n][0]) > 1]) for values, trials in drawn]
    drawn = [(values, trials) for values, trials in drawn if trials][:MOST_CURVES]
    if not drawn:
        return None
    from matplotlib.ticker import MaxNLocator

    figure, (panel,) = _figure(swept, f"{swept.goal.metric} over the epochs", 1)
    is_log = "loss" in swept.goal.metric
    for colour, (values, trials) in zip(COLOURS, drawn, strict=False):
        length = min(len(curves[n][0]) for n in trials)
        epochs = list(curves[trials[0]][0])[:length]
        spreads = [spread([curves[n][1][place] for n in trials]) for place in range(length)]
        means = [one.mean for one in spreads]
        names = {axis.path: axis.short for axis in swept.axes}
        shown = [f"{names[path]} {_short(value)}" for path, value in values.items() if not _is_repeat(swept, path)]
        label = ", ".join(shown) or "mean"
        panel.plot(epochs, means, color=colour, linewidth=1.4, label=label)
        is_log = is_log and all(mean > 0 for mean in means)
        if len(trials) > 1:
            low = [max(one.mean - one.half_width, one.mean / 10 if is_log else -math.inf) for one in spreads]
            high = [one.mean + one.half_width for one in spreads]
            panel.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    if is_log:
        panel.set_yscale("log")
    panel.set(xlabel="epoch", ylabel=swept.goal.metric)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(fontsize=8)
    return figure
