"""The figure `data`: the rows as points, with the true curve where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from annpipe import RunView, plot
from annpipe_std.plots.rows import (
    is_discrete,
    name_ticks,
    numbers,
    rows_label,
    sample,
    shared_out,
    splits,
    spread,
    words_of,
)
from annpipe_std.plots.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    COLOUR_MAP,
    MAX_PANELS,
    MAX_POINTS,
    SHORT,
    TRUTH,
    Doubles,
    legend,
    legend_below,
    message,
    panels,
    points,
    shown,
    split_colour,
    styled,
)

TITLE = "data"
CURVE_POINTS = 400


@plot
@styled
def data(view: RunView) -> Figure:
    """The rows as points: target over input with the true curve, or coloured over the plane of two inputs."""
    inputs, targets = list(numbers(view.train.inputs)), list(numbers(view.train.targets))
    if not splits(view):
        return message(view, TITLE, "There are no rows.")
    if not inputs or not targets:
        return message(view, TITLE, "Rows that hold more than single numbers have no axis to be drawn on.")
    if len(inputs) == 1:
        return _over_one_input(view, inputs[0], targets[:MAX_PANELS])
    if len(inputs) == 2:
        return _over_two_inputs(view, inputs, targets[:MAX_PANELS])
    return _over_each_input(view, inputs[:MAX_PANELS], targets[0])


def _over_one_input(view: RunView, input_: str, targets: list[str]) -> Figure:
    figure, all_axes = panels(view, TITLE, len(targets))
    for axes, target in zip(all_axes, targets, strict=True):
        draw_rows(axes, view, input_, target, MAX_POINTS // len(targets))
        draw_truth(axes, view, input_, target)
        if not words_of(view, target):
            legend(axes)
    if any(words_of(view, target) for target in targets):
        legend_below(figure, all_axes)
    return figure


def _over_each_input(view: RunView, inputs: list[str], target: str) -> Figure:
    figure, all_axes = panels(view, TITLE, len(inputs))
    for axes, input_ in zip(all_axes, inputs, strict=True):
        draw_rows(axes, view, input_, target, MAX_POINTS // len(inputs))
    legend_below(figure, all_axes)
    return figure


def draw_rows(axes: Axes, view: RunView, input_: str, target: str, limit: int) -> None:
    """The rows of each split, target over input; the limit is shared out by their sizes."""
    for name, split, chosen in shared_out(view, limit):
        x, y = numbers(split.inputs)[input_][chosen], numbers(split.targets)[target][chosen]
        x, y = spread(view, [input_, target], [x, y])
        points(axes, x, y, color=split_colour(name), label=rows_label(name, len(chosen), split.rows))
    _name_axes(axes, view, input_, target)


def _name_axes(axes: Axes, view: RunView, x: str, y: str) -> None:
    """The names of two columns, and of their classes."""
    axes.set(xlabel=shown(x), ylabel=shown(y))
    name_ticks(axes.xaxis, words_of(view, x))
    name_ticks(axes.yaxis, words_of(view, y))


def draw_truth(axes: Axes, view: RunView, input_: str, target: str) -> None:
    """The noiseless target over the range of the only input, where the data tells it."""
    known = [split for split in splits(view).values() if target in split.truth]
    if not known:
        return
    x = np.concatenate([numbers(split.inputs)[input_] for split in known])
    y = np.concatenate([numbers(split.truth)[target] for split in known])
    order = np.argsort(x, kind="stable")
    if len(order) > CURVE_POINTS:
        order = order[np.linspace(0, len(order) - 1, CURVE_POINTS).round().astype(int)]
    axes.plot(x[order], y[order], color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.5, label="truth, without noise")


def _over_two_inputs(view: RunView, inputs: list[str], targets: list[str]) -> Figure:
    figure, all_axes = panels(view, TITLE, len(targets))
    for axes, target in zip(all_axes, targets, strict=True):
        x, y, values, label = gathered(view, inputs, target, MAX_POINTS // len(targets))
        axes.set_title(label, fontsize=9)
        x, y = spread(view, inputs, [x, y])
        if is_discrete(values):
            draw_classes(axes, x, y, values, target, names=view.train.categories.get(target, ()))
        else:
            drawn = axes.scatter(x, y, c=values, cmap=COLOUR_MAP, s=14, linewidths=0)
            bar = figure.colorbar(drawn, ax=axes, label=shown(target))
            bar.outline.set_visible(False)
            name_ticks(bar.ax.yaxis, words_of(view, target))
        _name_axes(axes, view, *inputs)
    legend_below(figure, all_axes)
    return figure


def gathered(view: RunView, inputs: list[str], target: str, limit: int) -> tuple[Doubles, Doubles, Doubles, str]:
    """Both inputs and the target of up to `limit` rows of all splits, and words for how many they are."""
    with_rows = list(splits(view).values())
    x, y = (np.concatenate([numbers(split.inputs)[name] for split in with_rows]) for name in inputs)
    values = np.concatenate([numbers(split.targets)[target] for split in with_rows])
    chosen = sample(len(values), limit)
    return x[chosen], y[chosen], values[chosen], rows_label("+".join(splits(view)), len(chosen), len(values))


def draw_classes(
    axes: Axes,
    x: Doubles,
    y: Doubles,
    values: Doubles,
    target: str,
    colours: Sequence[Any] = CLASS_COLOURS,
    names: Sequence[str] = (),
) -> None:
    """The rows of each class in a colour and with a mark of its own: a label's own, whichever others are there."""
    different = np.unique(values[np.isfinite(values)])
    are_labels = different.min() >= 0 and different.max() < len(CLASS_COLOURS)
    for number, value in enumerate(different):
        mine, style = values == value, int(value) if are_labels and colours is CLASS_COLOURS else number
        look = {"color": colours[style], "marker": CLASS_MARKERS[style], "mew": 0.8, "mec": "white"}
        class_name = shown(names[int(value)], SHORT) if 0 <= value < len(names) else f"{value:g}"
        points(axes, x[mine], y[mine], label=f"{shown(target, SHORT)} = {class_name}", **look)
    axes.margins(0.06)
