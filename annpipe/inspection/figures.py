"""Figures of what was found in a model: importance, dependence, gradients, attributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from annpipe.errors import one_line, shortened
from annpipe.files.figure_fit import fit_figure
from annpipe.files.figure_style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from annpipe.inspection.attributions import Attributions
    from annpipe.inspection.dependence import Dependence
    from annpipe.inspection.gradients import GradientNorms
    from annpipe.inspection.importance import ColumnImportance

# Okabe and Ito (2008): told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MOST_BARS, MOST_CURVES, MOST_LINES, MOST_PANELS = 25, 50, 12, 6


def _text(words: str, most: int = 32) -> str:
    """Words on one line, as long as they fit, and never read as a formula of TeX."""
    return shortened(one_line(words), most).replace("$", r"\$")


def _titled(title: str, width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(_text(title, 80), x=0.012, ha="left")
    return figure


def importance_figure(columns: Sequence[ColumnImportance], metric: str) -> Figure:
    """A bar for each column with its interval, the largest above."""
    shown = columns[:MOST_BARS]
    few = f", the first {len(shown)} of {len(columns)} columns" if len(shown) < len(columns) else ""
    figure = _titled(f"permutation importance{few}", 7.2, 1.4 + 0.3 * len(shown))
    panel = figure.subplots()
    means = [column.spread.mean for column in shown]
    halves = [0.0 if math.isnan(width := column.spread.half_width) else width for column in shown]
    panel.barh(range(len(shown)), means, xerr=halves, color=COLOURS[0], height=0.62, ecolor=INK, capsize=3)
    panel.set_yticks(range(len(shown)), [_text(column.column) for column in shown])
    panel.invert_yaxis()
    panel.grid(visible=False, axis="y")
    panel.set_xlabel(_text(f"what a shuffle of the column costs in {metric}, with the 95 % interval of the mean", 90))
    fit_figure(figure)
    return figure


def dependence_figure(dependence: Dependence) -> Figure:
    """A panel for each answer: the ICE curves of some rows, faint, and their mean over all rows."""
    names = list(dependence.curves)[:MOST_PANELS]
    figure = _titled(
        f"dependence on {dependence.column}", 3.6 * min(3, len(names)) + 1, 3.2 * -(-len(names) // 3) + 0.4
    )
    panels = figure.subplots(-(-len(names) // 3), min(3, len(names)), squeeze=False).flatten()
    is_category = bool(dependence.words)
    at = torch.arange(len(dependence.grid)) if is_category else dependence.grid
    for panel, name in zip(panels, names, strict=False):
        curves = dependence.curves[name]
        for row in torch.linspace(0, len(curves) - 1, min(MOST_CURVES, len(curves))).round().long().tolist():
            panel.plot(at, curves[row], color=COLOURS[0], alpha=0.2, linewidth=0.7)
        panel.plot(at, dependence.mean[name], "o-" if is_category else "-", color=COLOURS[1], linewidth=2.4)
        panel.set_title(_text(name))
        panel.set_xlabel(_text(dependence.column))
        if is_category:
            panel.set_xticks(range(len(at)), [_text(label, 14) for label in dependence.labels], rotation=30, ha="right")
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    fit_figure(figure)
    return figure


def gradients_figure(gradients: GradientNorms) -> Figure:
    """A line for each layer over the epochs, on a logarithmic scale."""
    names = list(gradients.layers)[:MOST_LINES]
    few = f", {len(names)} of {len(gradients.layers)} layers" if len(names) < len(gradients.layers) else ""
    figure = _titled(f"norm of the gradient of each layer{few}", 7.2, 4.2)
    panel = figure.subplots()
    for number, name in enumerate(names):
        epochs, norms = gradients.layers[name]
        style = "-" if number < len(COLOURS) else "--"
        panel.plot(
            epochs, norms, style, marker="o", markersize=3, color=COLOURS[number % len(COLOURS)], label=_text(name)
        )
    if any(norm > 0 for name in names for norm in gradients.layers[name][1]):
        panel.set_yscale("log")
    panel.set(xlabel="epoch", ylabel="norm")
    figure.legend(loc="outside lower left", ncols=6)
    fit_figure(figure)
    return figure


def attributions_figure(attributions: Attributions) -> Figure:
    """A bar for each column; of an input with a shape of its own a map of its positions, the strongest dark."""
    title = f"{attributions.method} of {attributions.target}, mean of {len(attributions.values)} rows without signs"
    strength = attributions.strength
    if not attributions.columns:
        grid = strength.flatten(0, -2) if strength.ndim > 1 else strength[None]
        figure = _titled(title, 6.4, 4.8)
        panel = figure.subplots()
        panel.grid(visible=False)
        figure.colorbar(panel.imshow(grid.numpy(), cmap="Greys", aspect="auto"), ax=panel)
        return figure
    order = strength.argsort(descending=True)[:MOST_BARS].tolist()
    figure = _titled(title, 7.2, 1.4 + 0.3 * len(order))
    panel = figure.subplots()
    panel.barh(range(len(order)), strength[order].numpy(), color=COLOURS[0], height=0.62)
    panel.set_yticks(range(len(order)), [_text(attributions.columns[at]) for at in order])
    panel.invert_yaxis()
    panel.grid(visible=False, axis="y")
    fit_figure(figure)
    return figure
