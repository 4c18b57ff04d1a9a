"""The figure `confusion_matrix`: which class is taken for which, in counts and in shares of each true class."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from annpipe import Dataset, OptionError, RunView, plot
from annpipe_std.plots.style import (
    INK,
    MAX_PANELS,
    Indices,
    message,
    panels,
    rows_label,
    sample,
    shown,
    splits,
    styled,
)

TITLE = "confusion matrix"
MAX_COUNTED = 50_000
MAX_SHARES, MAX_COUNTS = 10, 15
"""Classes up to which a field has room for its share, and for its count; from there on the colour alone speaks."""
LOGIT_LOSSES = ("BCEWithLogitsLoss",)
"""Losses whose single outputs mean 1 above 0; with all others they do above 0.5."""


@plot
@styled
def confusion_matrix(view: RunView) -> Figure:
    """True against predicted classes of the validation split, or of the training split where there is none.

    Each field has the number of rows and their share of the true class, which is also its colour. Takes scores of
    classes, and single outputs with targets of 0 and 1. Raises OptionError where the loss takes neither.
    """
    found = {name: split for name, split in splits(view).items() if name in ("train", "val")}
    if not found:
        return message(view, TITLE, "There are no rows.")
    name, split = next(reversed(found.items()))
    chosen = sample(split.rows, MAX_COUNTED)
    matrices = _matrices(view, split, chosen)
    if not matrices:
        raise OptionError(
            "confusion_matrix",
            f"{view.loss or 'the loss'} is not trained on classes here: no target is a class label or 0 and 1",
            help="draw `residuals` for numbers, or train with a loss of classes, as CrossEntropyLoss",
        )
    figure, all_axes = panels(view, TITLE, len(matrices))
    for axes, (target, counts) in zip(all_axes, matrices.items(), strict=True):
        _draw(figure, axes, target, counts)
        right = counts.trace() / max(1, counts.sum())
        axes.set_title(f"{rows_label(name, len(chosen), split.rows)}: {right:.1%} right", fontsize=9)
    return figure


def _matrices(view: RunView, split: Dataset, chosen: Indices) -> dict[str, Indices]:
    """The counts, (true, predicted), of each target that is a class."""
    outputs = view.predict({name: values[chosen] for name, values in split.inputs.items()})
    matrices: dict[str, Indices] = {}
    for target, values in list(split.targets.items())[:MAX_PANELS]:
        true, output = values[chosen], outputs[target]
        if true.ndim != 1:
            continue
        if output.ndim == 2 and output.shape[1] > 1:
            matrices[target] = _counted(true.long(), output.argmax(1), output.shape[1])
        elif ((true == 0) | (true == 1)).all():
            above = output.flatten() > (0 if view.loss in LOGIT_LOSSES else 0.5)
            matrices[target] = _counted(true.long(), above.long(), 2)
    return matrices


def _counted(true: torch.Tensor, predicted: torch.Tensor, classes: int) -> Indices:
    """Rows by true and predicted class, (classes, classes); a negative label is of no class."""
    named = true >= 0
    places = true[named] * classes + predicted.to(true)[named]
    counts: Indices = torch.bincount(places, minlength=classes * classes).reshape(classes, classes).numpy()
    return counts


def _draw(figure: Figure, axes: Axes, target: str, counts: Indices) -> None:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    bar = figure.colorbar(image, ax=axes, label="share of the true class", format=lambda share, _: f"{share:.0%}")
    bar.outline.set_visible(False)
    if len(counts) <= MAX_COUNTS:
        _write(axes, counts, shares)
    axes.grid(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=MAX_COUNTS if len(counts) <= MAX_COUNTS else 10))
    axes.set(xlabel=f"predicted {shown(target)}", ylabel=f"true {shown(target)}")


def _write(axes: Axes, counts: Indices, shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    """The numbers in each field; a class without rows has no shares."""
    size = min(10.0, (66 if len(counts) <= MAX_SHARES else 100) / len(counts))
    for (row, place), count in np.ndenumerate(counts):
        share = shares[row, place]
        text = f"{count:,}\n{share:.0%}" if len(counts) <= MAX_SHARES and counts[row].any() else f"{count:,}"
        axes.text(place, row, text, ha="center", va="center", color="white" if share > 0.5 else INK, fontsize=size)
