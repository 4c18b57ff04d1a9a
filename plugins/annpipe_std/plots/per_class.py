"""The figure `per_class`: precision, recall and F1 of each class side by side, with its number of rows."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from annpipe import RunView, plot
from annpipe_std.plots.classes import ClassTargets, class_targets, refused
from annpipe_std.plots.confusion_matrix import confusion
from annpipe_std.plots.refusals import without_classes
from annpipe_std.plots.style import (
    MAX_PANELS,
    PREDICTION,
    SHORT,
    TRAIN,
    VAL,
    Doubles,
    Indices,
    message,
    panels,
    shown,
    styled,
)

TITLE = "per class"
MOST_CLASSES = 20
LETTERS_BESIDE = 80
Scored = tuple[list[str], Doubles, Indices]
"""The classes' names, their precision, recall and F1, (classes, 3), and their rows, (classes,)."""


@plot(check=without_classes)
@styled
def per_class(view: RunView) -> Figure:
    """Precision, recall and F1 of each class as bars, with its rows, on the held-out split: test, else val, else train.

    Of several targets of 0 and 1 each has its bars for the 1s. Of more than 20 classes those with the lowest F1 are
    drawn. Raises OptionError where no target is a class.
    """
    classified = class_targets(view)
    if classified is None:
        return message(view, TITLE, "There are no rows.")
    if not classified.targets:
        raise refused("per_class", view.loss)
    scored = _scored(classified)
    figure, all_axes = panels(view, TITLE, len(scored))
    for axes, (target, (names, scores, rows)) in zip(all_axes, scored.items(), strict=True):
        drawn = _lowest(scores, rows)
        _draw(axes, [names[index] for index in drawn], scores[drawn], rows[drawn])
        few = f": the {len(drawn)} of {len(names)} classes with the lowest F1" if len(drawn) < len(names) else ""
        axes.set_title(classified.rows + few, fontsize=9)
        axes.set_xlabel(f"{shown(target)}, rows in brackets")
    return figure


def scores_of_classes(counts: Indices) -> Doubles:
    """Precision, recall and F1 of each class, (classes, 3), by rows of true and predicted class; 0 of 0 is 0."""
    hits, called, there = counts.diagonal(), counts.sum(0), counts.sum(1)
    below = np.stack([called, there, called + there], 1)
    above = np.stack([hits, hits, 2 * hits], 1)
    scores: Doubles = above / np.maximum(below, 1)
    return scores


def _scored(classified: ClassTargets) -> dict[str, Scored]:
    """A panel for each target, or one for all where they are several of two classes."""
    counted = {
        labelled.target: (labelled, confusion(labelled.labels, labelled.predicted, labelled.classes))
        for labelled in classified.targets
    }
    if len(counted) > 1 and all(labelled.classes == 2 for labelled, _ in counted.values()):
        scores = np.stack([scores_of_classes(counts)[1] for _, counts in counted.values()])
        return {"targets": (list(counted), scores, np.array([counts[1].sum() for _, counts in counted.values()]))}
    panels_ = {
        target: (list(labelled.names), scores_of_classes(counts), counts.sum(1))
        for target, (labelled, counts) in counted.items()
    }
    return dict(list(panels_.items())[:MAX_PANELS])


def _lowest(scores: Doubles, rows: Indices) -> Indices:
    """The positions of the classes to draw, in their order: all, or those with rows and the lowest F1."""
    if len(scores) <= MOST_CLASSES:
        return np.arange(len(scores))
    order = np.lexsort((scores[:, 2], rows == 0))
    return np.sort(order[:MOST_CLASSES])


def _draw(axes: Axes, names: list[str], scores: Doubles, rows: Indices) -> None:
    positions = np.arange(len(names))
    looks = (("precision", TRAIN), ("recall", VAL), ("F1", PREDICTION))
    for number, (word, colour) in enumerate(looks):
        axes.bar(positions + 0.27 * (number - 1), scores[:, number], width=0.25, color=colour, label=word)
    labels = [f"{shown(name, SHORT)}\n({count:,})" for name, count in zip(names, rows, strict=True)]
    if max(map(len, labels)) * len(labels) > LETTERS_BESIDE:  # they will be slanted, which two lines are not easily
        labels = [label.replace("\n", " ") for label in labels]
    axes.set_xticks(positions, labels, fontsize=9)
    axes.grid(visible=False, axis="x")
    axes.set(ylim=(0, 1.25), yticks=np.linspace(0, 1, 6), ylabel="score")
    axes.legend(loc="upper center", ncols=3)
