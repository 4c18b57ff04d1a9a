"""The figure `predictions`: the model's predictions beside the true values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from annpipe import RunView, plot
from annpipe_std.plots.classes import Classified, class_probabilities, class_targets
from annpipe_std.plots.confusion_matrix import draw_confusion
from annpipe_std.plots.data import draw_classes, draw_rows, draw_truth, gathered
from annpipe_std.plots.rows import column, is_discrete, numbers, outputs, rows_label, shared_out, splits
from annpipe_std.plots.style import (
    CLASS_COLOURS,
    COLOUR_MAP,
    INK,
    MAX_PANELS,
    MAX_POINTS,
    PREDICTION,
    TRUTH,
    Doubles,
    legend,
    message,
    panels,
    points,
    shown,
    span,
    split_colour,
    styled,
)

TITLE = "predictions"
CURVE_POINTS = 400
SURFACE_POINTS = 120
MAX_MARKS = 500
"""Rows on a surface, which must be seen between them."""


@plot
@styled
def predictions(view: RunView) -> Figure:
    """The model's curve or surface over the data, predicted against true, or its classes as regions or counts.

    Which of them depends on the number of inputs; classes are regions of the plane of two inputs, and of others a
    matrix of which is taken for which. Words and missing numbers span no plane.
    """
    inputs, targets = list(numbers(view.train.inputs)), list(numbers(view.train.targets))[:MAX_PANELS]
    if not splits(view):
        return message(view, TITLE, "There are no rows.")
    if not targets:
        return message(view, TITLE, "Targets of more than single numbers have no axis to be drawn on.")
    figure, all_axes = panels(view, TITLE, len(targets))
    dimensions = len(inputs) if _span_a_space(view, inputs) else 0
    classes = _labelled(view, targets)
    for axes, target in zip(all_axes, targets, strict=True):
        if target in classes and dimensions == 2 and _few(classes[target]):
            _regions(axes, view, inputs, classes[target], MAX_MARKS // len(targets))
        elif target in classes:
            draw_confusion(figure, axes, *classes[target])
        elif dimensions == 1:
            _curve(axes, view, inputs[0], target, MAX_POINTS // len(targets))
        elif dimensions == 2:
            _surface(figure, axes, view, inputs, target, MAX_MARKS // len(targets))
        else:
            _against_truth(axes, view, target, MAX_POINTS // len(targets))
    return figure


def _span_a_space(view: RunView, inputs: list[str]) -> bool:
    """Whether all that goes in are numbers, none of them missing: between words there is nothing to predict."""
    if len(inputs) != len(view.train.inputs) or any(view.train.categories.get(name) for name in inputs):
        return False
    return all(
        bool(np.isfinite(numbers(split.inputs)[name]).all()) for split in splits(view).values() for name in inputs
    )


Labelled = tuple[Classified, str]


def _labelled(view: RunView, targets: list[str]) -> Mapping[str, Labelled]:
    """The targets that are labels or have scores of classes, and words for their rows; floats of 0 and 1 are none."""
    first = next(iter(splits(view).values()))
    first_output = outputs(view, first, np.arange(1))
    if all(first.targets[target].is_floating_point() and first_output[target].numel() == 1 for target in targets):
        return {}  # without predicting every row
    classified = class_targets(view)
    if classified is None:
        return {}
    labels = {target for target in targets if not view.train.targets[target].is_floating_point()}
    scores = {
        labelled.target for labelled in classified.scored if labelled.score is not None and labelled.score.shape[1] > 1
    }
    return {
        labelled.target: (labelled, classified.rows)
        for labelled in classified.targets
        if labelled.target in labels | scores
    }


def _few(labelled: Labelled) -> bool:
    """Whether there are colours for the classes, and scores of them."""
    return labelled[0].score is not None and labelled[0].classes <= len(CLASS_COLOURS)


def _curve(axes: Axes, view: RunView, input_: str, target: str, limit: int) -> None:
    draw_rows(axes, view, input_, target, limit)
    draw_truth(axes, view, input_, target)
    low, high = span(np.concatenate([numbers(split.inputs)[input_] for split in splits(view).values()]))
    x = torch.linspace(low, high, CURVE_POINTS, dtype=torch.float64)
    y = column(view.predict({input_: x})[target])
    axes.plot(x.numpy(), y, color=PREDICTION, linewidth=2.2, label="prediction")
    legend(axes)


def _regions(axes: Axes, view: RunView, inputs: list[str], labelled: Labelled, limit: int) -> None:
    """The plane in the colours of the classes that the model calls, paler the less sure; their boundaries as lines."""
    target, _ = labelled
    x, y, values, label = gathered(view, inputs, target.target, limit)
    grid_x, grid_y, plane = _plane(inputs, x, y)
    probability = class_probabilities(
        view.predict(plane)[target.target], logits=target.target in view.raw_scores
    ).numpy()
    called = probability.argmax(1)
    colours = np.array([to_rgb(colour) for colour in CLASS_COLOURS[: probability.shape[1]]])
    sure = (probability.max(1, keepdims=True) - 1 / probability.shape[1]) / (1 - 1 / probability.shape[1])
    mixed = 1 - (0.08 + 0.42 * sure) * (1 - colours[called])
    shape = len(grid_y), len(grid_x)
    axes.pcolormesh(grid_x, grid_y, mixed.reshape(*shape, 3), shading="nearest", rasterized=True)
    for index in range(probability.shape[1]) if probability.shape[1] > 2 else [1]:
        rest = np.delete(probability, index, axis=1).max(1)
        margin = (probability[:, index] - rest).reshape(shape)
        if margin.min() < 0 < margin.max():
            axes.contour(grid_x, grid_y, margin, levels=[0.0], colors=[INK], linewidths=1.2)
    axes.set(xlabel=shown(inputs[0]), ylabel=shown(inputs[1]))
    draw_classes(axes, x, y, values, target.target, names=target.names)
    axes.grid(False)
    axes.set(xlim=_margins(x), ylim=_margins(y))
    axes.set_title(f"background: prediction\nmarks: {label}", fontsize=9)


def _plane(inputs: list[str], x: Doubles, y: Doubles) -> tuple[Doubles, Doubles, dict[str, torch.Tensor]]:
    """A grid over the rows: its two sides, and the inputs of its points, (points,) each, the first input fastest."""
    grid_x, grid_y = (torch.linspace(*_margins(side), SURFACE_POINTS, dtype=torch.float64) for side in (x, y))
    plane_x, plane_y = torch.meshgrid(grid_x, grid_y, indexing="xy")
    return grid_x.numpy(), grid_y.numpy(), {inputs[0]: plane_x.flatten(), inputs[1]: plane_y.flatten()}


def _surface(figure: Figure, axes: Axes, view: RunView, inputs: list[str], target: str, limit: int) -> None:
    """The predictions as the colour of the plane, the rows on it in the same colours."""
    x, y, values, label = gathered(view, inputs, target, limit)
    grid_x, grid_y, plane = _plane(inputs, x, y)
    predicted = column(view.predict(plane)[target])
    low, high = span(values)
    mesh = axes.pcolormesh(
        grid_x, grid_y, predicted.reshape(len(grid_y), len(grid_x)), cmap=COLOUR_MAP, vmin=low, vmax=high,
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
    axes.set_title(f"background: prediction\nmarks: {label}", fontsize=9)


def _margins(values: Doubles) -> tuple[float, float]:
    low, high = span(values)
    return low - 0.1 * (high - low), high + 0.1 * (high - low)


def _against_truth(axes: Axes, view: RunView, target: str, limit: int) -> None:
    drawn: list[Doubles] = []
    for name, split, chosen in shared_out(view, limit):
        true = column(split.targets[target])[chosen]
        predicted = column(outputs(view, split, chosen)[target])
        points(axes, true, predicted, color=split_colour(name), label=rows_label(name, len(chosen), split.rows))
        drawn += [true, predicted[np.isfinite(predicted)]]
    limits = span(np.concatenate(drawn))
    axes.plot(limits, limits, color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.2, label="predicted = true")
    axes.set_xlabel(f"true {shown(target)}")
    axes.set_ylabel(f"predicted {shown(target)}")
    legend(axes)
