"""The figure `confusion_matrix`: rows by true and predicted class, in counts and in fractions of each true class."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from annpipe import RunView, plot
from annpipe_std.plots.classes import Classified, class_targets, refused
from annpipe_std.plots.refusals import without_classes
from annpipe_std.plots.style import INK, MAX_PANELS, SHORT, Doubles, Indices, message, panels, shown, styled

TITLE = "confusion matrix"
MAX_SHARES, MAX_COUNTS = 10, 15
"""Classes up to which a field has room for its share, and for its count; from there on the colour alone speaks."""


@plot(check=without_classes)
@styled
def confusion_matrix(view: RunView) -> Figure:
    """True against predicted classes of the held-out rows: those of test, else of val, else of train.

    Each field has the number of rows and their share of the true class, which is also its colour. Takes scores of
    classes, and single outputs with targets of 0 and 1. Raises OptionError where the loss takes neither.
    """
    classified = class_targets(view)
    if classified is None:
        return message(view, TITLE, "There are no rows.")
    if not classified.targets:
        raise refused("confusion_matrix", view.loss)
    drawn = classified.targets[:MAX_PANELS]
    figure, all_axes = panels(view, TITLE, len(drawn))
    for axes, target in zip(all_axes, drawn, strict=True):
        draw_confusion(figure, axes, target, classified.rows)
    return figure


def draw_confusion(figure: Figure, axes: Axes, target: Classified, rows: str) -> None:
    """The matrix of one target, with the share of right predictions in the title."""
    counts = confusion(target.labels, target.predicted, target.classes)
    shares: Doubles = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    bar = figure.colorbar(image, ax=axes, label="share of the true class", format=lambda fraction, _: f"{fraction:.0%}")
    bar.outline.set_visible(False)
    if target.classes <= MAX_COUNTS:
        _write(axes, counts, shares)
    axes.grid(False)
    _name_classes(axes, target)
    axes.set(xlabel=f"predicted {shown(target.target)}", ylabel=f"true {shown(target.target)}")
    axes.set_title(f"{rows}: {counts.trace() / max(1, counts.sum()):.1%} right", fontsize=9)


def confusion(labels: torch.Tensor, predicted: torch.Tensor, classes: int) -> Indices:
    """Rows by true and predicted class, (classes, classes)."""
    cells = labels * classes + predicted.to(labels)
    counts: Indices = torch.bincount(cells, minlength=classes * classes).reshape(classes, classes).numpy()
    return counts


def _name_classes(axes: Axes, target: Classified) -> None:
    """The classes' names where they have some and there is room, their numbers otherwise."""
    if target.classes <= MAX_COUNTS:
        names = [shown(name, SHORT) for name in target.names]
        axes.set_xticks(range(target.classes), names)
        axes.set_yticks(range(target.classes), names)
        return
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=10))


def _write(axes: Axes, counts: Indices, shares: Doubles) -> None:
    """The numbers in each field; a class without rows has no shares."""
    size = min(10.0, (66 if len(counts) <= MAX_SHARES else 100) / len(counts))
    for (row, column), count in np.ndenumerate(counts):
        fraction = shares[row, column]
        text = f"{count:,}\n{fraction:.0%}" if len(counts) <= MAX_SHARES and counts[row].any() else f"{count:,}"
        axes.text(column, row, text, ha="center", va="center", color="white" if fraction > 0.5 else INK, fontsize=size)
