"""The figure `predictions`: what the model makes of the data, beside the truth."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from annpipe import Dataset, RunView, plot
from annpipe_std.plots.data import draw_classes, draw_rows, draw_truth, gathered
from annpipe_std.plots.style import (
    COLOUR_MAP,
    INK,
    MAX_PANELS,
    MAX_POINTS,
    PREDICTION,
    SPLIT_COLOURS,
    TRUTH,
    Doubles,
    Indices,
    column,
    is_discrete,
    legend,
    message,
    numbers,
    panels,
    points,
    rows_label,
    sample,
    shown,
    span,
    splits,
    styled,
)

TITLE = "predictions"
CURVE_POINTS = 400
SURFACE_POINTS = 120
MAX_MARKS = 500
"""Rows on a surface, which must be seen between them."""
MAX_CLASSES = 20
MAX_COUNTED = 50_000


@plot
@styled
def predictions(view: RunView) -> Figure:
    """The model's curve or surface over the data; with more inputs, predicted against true; classes as counts."""
    inputs, targets = list(numbers(view.train.inputs)), list(numbers(view.train.targets))[:MAX_PANELS]
    if not splits(view):
        return message(view, TITLE, "There are no rows.")
    if not targets:
        return message(view, TITLE, "Targets of more than single numbers have no axis to be drawn on.")
    figure, all_axes = panels(view, TITLE, len(targets))
    for axes, target in zip(all_axes, targets, strict=True):
        if not view.train.targets[target].is_floating_point():
            _confusion(axes, view, target)
        elif len(inputs) == len(view.train.inputs) == 1:
            _curve(axes, view, inputs[0], target, MAX_POINTS // len(targets))
        elif len(inputs) == len(view.train.inputs) == 2:
            _surface(figure, axes, view, inputs, target, MAX_MARKS // len(targets))
        else:
            _against_truth(axes, view, target, MAX_POINTS // len(targets))
    return figure


def _curve(axes: Axes, view: RunView, input_: str, target: str, limit: int) -> None:
    draw_rows(axes, view, input_, target, limit)
    draw_truth(axes, view, input_, target)
    low, high = span(np.concatenate([numbers(split.inputs)[input_] for split in splits(view).values()]))
    x = torch.linspace(low, high, CURVE_POINTS, dtype=torch.float64)
    y = column(view.predict({input_: x})[target])
    axes.plot(x.numpy(), y, color=PREDICTION, linewidth=2.2, label="prediction")
    legend(axes)


def _surface(figure: Figure, axes: Axes, view: RunView, inputs: list[str], target: str, limit: int) -> None:
    """The predictions as the colour of the plane, the rows on it in the same colours."""
    x, y, values, label = gathered(view, inputs, target, limit)
    grid_x, grid_y = (torch.linspace(*_margins(side), SURFACE_POINTS, dtype=torch.float64) for side in (x, y))
    plane_x, plane_y = torch.meshgrid(grid_x, grid_y, indexing="xy")
    predicted = column(view.predict({inputs[0]: plane_x.flatten(), inputs[1]: plane_y.flatten()})[target])
    low, high = span(values)
    mesh = axes.pcolormesh(
        grid_x.numpy(), grid_y.numpy(), predicted.reshape(plane_x.shape), cmap=COLOUR_MAP, vmin=low, vmax=high,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    beyond = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    extend = beyond[bool((predicted < low).any()), bool((predicted > high).any())]
    bar = figure.colorbar(mesh, ax=axes, label=f"predicted {shown(target)}", extend=extend)
    bar.outline.set_visible(False)
    if is_discrete(values):
        draw_classes(axes, x, y, values, target, [mesh.cmap(mesh.norm(value)) for value in np.unique(values)])
    else:
        axes.scatter(x, y, c=values, cmap=COLOUR_MAP, vmin=low, vmax=high, s=18, linewidths=0.6, edgecolors="white")
    axes.grid(False)
    axes.set(xlabel=shown(inputs[0]), ylabel=shown(inputs[1]), xlim=_margins(x), ylim=_margins(y))
    axes.set_title(f"background: prediction, marks: {label}", fontsize=9)


def _margins(values: Doubles) -> tuple[float, float]:
    low, high = span(values)
    return low - 0.1 * (high - low), high + 0.1 * (high - low)


def _against_truth(axes: Axes, view: RunView, target: str, limit: int) -> None:
    total = sum(split.rows for split in splits(view).values())
    seen: list[Doubles] = []
    for name, split in splits(view).items():
        chosen = sample(split.rows, max(1, limit * split.rows // total) if total > limit else split.rows)
        true = column(split.targets[target])[chosen]
        predicted = _predicted(view, split, target, chosen)
        points(axes, true, predicted, color=SPLIT_COLOURS[name], label=rows_label(name, len(chosen), split.rows))
        seen += [true, predicted[np.isfinite(predicted)]]
    ends = span(np.concatenate(seen))
    axes.plot(ends, ends, color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.2, label="predicted = true")
    axes.set_xlabel(f"true {shown(target)}")
    axes.set_ylabel(f"predicted {shown(target)}")
    legend(axes)


def _predicted(view: RunView, split: Dataset, target: str, chosen: Indices) -> Doubles:
    return column(view.predict({name: values[chosen] for name, values in split.inputs.items()})[target])


def _confusion(axes: Axes, view: RunView, target: str) -> None:
    """How many rows of each class were predicted to be of which, in the last split that there is."""
    name, split = next(reversed(splits(view).items()))
    chosen = sample(split.rows, MAX_COUNTED)
    output = view.predict({key: values[chosen] for key, values in split.inputs.items()})[target]
    predicted = (output.argmax(1) if output.ndim > 1 and output.shape[1] > 1 else output.flatten().round()).numpy()
    true = split.targets[target].numpy()[chosen]
    classes = int(max(predicted.max(), true.max())) + 1
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (true.astype(int), predicted.astype(int)), 1)
    axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    if classes <= MAX_CLASSES:
        _write_counts(axes, counts)
    axes.grid(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=f"predicted {shown(target)}", ylabel=f"true {shown(target)}")
    right = counts.trace() / max(1, counts.sum())
    axes.set_title(f"{rows_label(name, len(chosen), split.rows)}: {right:.1%} right", fontsize=9)


def _write_counts(axes: Axes, counts: Indices) -> None:
    size = min(10.0, 60 / math.sqrt(len(counts)) / 2)
    for (row, place), count in np.ndenumerate(counts):
        dark = count > counts[row].sum() / 2
        axes.text(place, row, f"{count:,}", ha="center", va="center", color="white" if dark else INK, fontsize=size)
