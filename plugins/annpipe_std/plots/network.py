"""The figure `network`: the model as a picture, its neurons where they are few, its layers as blocks otherwise."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch

from annpipe import RunView, plot, text_width
from annpipe_std.plots.network_blocks import Shapes, blocks
from annpipe_std.plots.rows import splits
from annpipe_std.plots.style import INK, PREDICTION, SHORT, TRAIN, shown, styled, titled

TITLE = "network"
MAX_COLUMNS = 8
MOST = 10
"""Circles in a column; of a wider layer the first and the last are drawn."""
N_AT_EACH_END = 4
MOST_NAMED = 3
GAP, RADIUS = 1.0, 0.3


@dataclass(frozen=True)
class _Column:
    """A column of circles: how many neurons, what they are, and the weights (out, in) that lead to them."""

    width: int
    below: Sequence[str]
    weights: torch.Tensor | None = None
    names: tuple[str, ...] = ()


@plot(of_rows=False)
@styled
def network(view: RunView) -> Figure:
    """The model: circles and weights for a small perceptron, else blocks with shapes and numbers of parameters."""
    shapes = _shapes(view)
    columns = _columns(view)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    figure.suptitle(titled(view, TITLE), x=0.012, ha="left")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.grid(visible=False)
    axes.set_aspect("equal")
    if columns:
        _perceptron(axes, columns)
    else:
        blocks(axes, view.model, shapes, ", ".join(_listed(view.train.inputs)))
    width, height = axes.get_xlim()[1] - axes.get_xlim()[0], axes.get_ylim()[1] - axes.get_ylim()[0]
    scale = 0.55 if columns else 1.0
    figure.set_size_inches(min(18.0, max(4.8, width * scale)), min(40.0, max(2.4, height * scale + 0.5)))
    return figure


def _listed(inputs: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of the inputs; of many the first, and how many others there are."""
    names = [shown(name, SHORT) for name in inputs]
    return names if len(names) <= MOST_NAMED + 1 else [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"]


def _shapes(view: RunView) -> Shapes:
    """What enters and leaves each module for one row, seen while the model predicts two."""
    shapes: Shapes = {}

    def note(module: torch.nn.Module, inputs: tuple[object, ...], output: object) -> None:
        first = output[0] if isinstance(output, tuple | list) and output else output
        before = inputs[0] if inputs else None
        if isinstance(first, torch.Tensor) and isinstance(before, torch.Tensor):
            shapes.setdefault(module, (tuple(before.shape[1:]), tuple(first.shape[1:])))

    hooks = [module.register_forward_hook(note) for module in view.model.modules()]
    try:
        for split in list(splits(view).values())[:1]:
            view.predict({name: tensor[:2] for name, tensor in split.inputs.items()})
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _columns(view: RunView) -> list[_Column]:
    """The model as columns of neurons, empty where it is more than linear layers and functions of single numbers."""
    layers = list(view.model.children())
    linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
    others = [layer for layer in layers if not isinstance(layer, torch.nn.Linear)]
    if not linear or len(linear) >= MAX_COLUMNS or any(list(layer.parameters()) or _moves(layer) for layer in others):
        return []
    if any(tensor.ndim > 1 for tensor in view.train.inputs.values()):
        return []
    names = _input_names(view, linear[0].in_features)
    below = ["input"] if names else ["input of", *_listed(view.train.inputs)]
    columns = [_Column(linear[0].in_features, below, names=names)]
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            columns.append(_Column(layer.out_features, [type(layer).__name__], layer.weight.detach().float().cpu()))
        else:
            last = columns[-1]
            columns[-1] = _Column(last.width, [*last.below, type(layer).__name__], last.weights, last.names)
    last = columns[-1]
    columns[-1] = _Column(last.width, last.below, last.weights, _output_names(view, last.width))
    return columns


def _input_names(view: RunView, width: int) -> tuple[str, ...]:
    """The inputs' names where each is a neuron of its own: transforms make several of one, in an order of their own."""
    names = tuple(view.train.inputs)
    return names if len(names) == width and not view.transformed else ()


def _output_names(view: RunView, width: int) -> tuple[str, ...]:
    """The names of the targets, or of the classes of the only one, where each is a neuron of its own."""
    targets = tuple(view.train.targets)
    classes = view.train.categories.get(targets[0], ()) if len(targets) == 1 else ()
    return next((names for names in (targets, classes) if len(names) == width), ())


def _moves(layer: torch.nn.Module) -> bool:
    """Whether a layer without parameters is more than a function of each number: it holds others or changes shapes."""
    if list(layer.children()):
        return True
    probe = torch.zeros(2, 6)
    try:
        with torch.no_grad():
            output = copy.deepcopy(layer).cpu().eval()(probe)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):
        return True
    return not isinstance(output, torch.Tensor) or output.shape != probe.shape


def _perceptron(axes: Axes, columns: Sequence[_Column]) -> None:
    """Circles in columns from left to right, and a line for each weight: blue above zero, orange below."""
    step = max(2.6, 0.28 * max(min(column.width, MOST + 1) for column in columns))
    heights_of_columns = [_heights(column.width) for column in columns]
    for number, (column, heights) in enumerate(zip(columns, heights_of_columns, strict=True)):
        x = number * step
        if column.weights is not None:
            _lines(axes, column.weights, (x - step, x), (heights_of_columns[number - 1], heights))
        for neuron, y in heights.items():
            is_end = number in (0, len(columns) - 1)
            axes.add_patch(_circle(x, y, filled=is_end))
            if is_end and neuron < len(column.names):
                side = -1 if number == 0 else 1
                ha = "right" if number == 0 else "left"
                axes.text(x + side * 0.5, y, shown(column.names[neuron], SHORT), ha=ha, va="center")
        if column.width > len(heights):
            for dot in (-0.22, 0.0, 0.22):
                axes.plot([x], [dot], marker="o", markersize=2.2, color=INK)
    low = min(min(heights.values()) for heights in heights_of_columns)
    for number, column in enumerate(columns):
        text = "\n".join([str(column.width), *column.below])
        axes.text(number * step, low - 0.75, text, ha="center", va="top", fontsize=9, linespacing=1.35)
    names = [column.names for column in (columns[0], columns[-1])]
    margins = [1.0 + 0.2 * max((text_width(shown(name, SHORT)) for name in labels), default=0) for labels in names]
    axes.set_xlim(-margins[0], (len(columns) - 1) * step + margins[1])
    top = max(max(heights.values()) for heights in heights_of_columns)
    depth = low - 1.2 - 0.55 * (1 + max(len(column.below) for column in columns))
    key = "blue: weights above 0, orange: below; the thicker, the larger among those beside it"
    axes.text((len(columns) - 1) * step / 2, depth + 0.2, key, ha="center", va="bottom", fontsize=7, color="#555555")
    axes.set_ylim(depth, top + 0.7)


def _heights(width: int) -> dict[int, float]:
    """The height of each neuron that is drawn, around 0; of many the first and last few, with a gap between."""
    if width <= MOST:
        return {neuron: ((width - 1) / 2 - neuron) * GAP for neuron in range(width)}
    upper = {neuron: (N_AT_EACH_END - neuron) * GAP for neuron in range(N_AT_EACH_END)}
    return upper | {width - 1 - neuron: -(N_AT_EACH_END - neuron) * GAP for neuron in reversed(range(N_AT_EACH_END))}


def _circle(x: float, y: float, *, filled: bool) -> Patch:
    return Circle((x, y), RADIUS, facecolor="#dbe9f4" if filled else "white", edgecolor=INK, linewidth=1.1, zorder=3)


def _lines(
    axes: Axes,
    weights: torch.Tensor,
    x: tuple[float, float],
    heights_of_columns: tuple[dict[int, float], dict[int, float]],
) -> None:
    """A line for each weight between circles that are drawn, the stronger the larger it is among them."""
    pairs = [(before, after) for before in heights_of_columns[0] for after in heights_of_columns[1]]
    values = [float(weights[after, before]) for before, after in pairs]
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0) or 1.0
    sizes = [abs(value) / largest if math.isfinite(value) else 1.0 for value in values]
    segments = [
        ((x[0] + RADIUS, heights_of_columns[0][b]), (x[1] - RADIUS, heights_of_columns[1][a])) for b, a in pairs
    ]
    colours = [TRAIN if value >= 0 else PREDICTION for value in values]
    lines = LineCollection(segments, colors=colours, linewidths=[0.3 + 1.9 * size for size in sizes], zorder=1)
    lines.set_alpha([0.15 + 0.75 * size for size in sizes])
    axes.add_collection(lines)
