"""The figure `calibration`: predicted probabilities against observed frequencies (a reliability diagram)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from annpipe import RunView, plot
from annpipe_std.plots.classes import Classified, class_targets, refused_scores
from annpipe_std.plots.refusals import without_scores
from annpipe_std.plots.style import (
    MAX_PANELS,
    PREDICTION,
    SHORT,
    TRAIN,
    TRUTH,
    Doubles,
    Indices,
    legend,
    message,
    panels_over_strips,
    shown,
    styled,
)

TITLE = "calibration"


@plot(check=without_scores)
@styled
def calibration(
    view: RunView,
    bins: Annotated[int, Field(ge=2, le=100, description="Into how many equal parts probabilities are cut.")] = 10,
) -> Figure:
    """How often rows come true against their predicted probability (a reliability diagram), on held-out rows.

    The rows are those of test, else of val, else of train. Of two classes, the probability of the second; of more, that
    of the predicted class, its confidence. Below, how many rows each part has; in the title the expected calibration
    error (ECE), the mean distance from the diagonal by rows.
    Raises OptionError where no target has scores.
    """
    classified = class_targets(view)
    if classified is None:
        return message(view, TITLE, "There are no rows.")
    drawn = [target for target in classified.scored if len(target.labels)][:MAX_PANELS]
    if not classified.scored:
        raise refused_scores("calibration", view.loss)
    if not drawn:
        return message(view, TITLE, "No row has a label.")
    figure, pairs = panels_over_strips(view, TITLE, len(drawn))
    for (axes, strip), target in zip(pairs, drawn, strict=True):
        diagram = reliability(*probability_and_truth(target), bins)
        _draw(axes, strip, diagram)
        second = f"{shown(target.target, SHORT)} = {shown(target.names[1], SHORT)}"
        of = second if target.classes == 2 else "the predicted class"
        strip.set_xlabel(f"predicted probability of {of}")
        axes.set_ylabel("share that is so")
        axes.set_title(f"{classified.rows}: ECE {diagram.error:.3f}", fontsize=9)
    return figure


@dataclass(frozen=True)
class Reliability:
    """Of each part of [0, 1]: rows, their mean predicted probability, and the share that came true, (bins,) each.

    Mean and share are nan where a part has no rows.
    """

    rows: Indices
    predicted: Doubles
    true: Doubles

    @property
    def error(self) -> float:
        """The expected calibration error (Naeini et al., 2015): |predicted - true|, each part by its rows."""
        there = self.rows > 0
        return float((np.abs(self.predicted - self.true)[there] * self.rows[there]).sum() / max(1, self.rows.sum()))


def reliability(probability: torch.Tensor, truth: torch.Tensor, bins: int) -> Reliability:
    """Cuts [0, 1] into equal parts, the right end of each its own; probability and truth are (rows,), nan left out."""
    probability, truth = probability[there := probability.isfinite()], truth[there]
    parts = (probability * bins).ceil().long().clamp(1, bins) - 1
    rows = torch.bincount(parts, minlength=bins)
    predicted = torch.bincount(parts, probability, minlength=bins) / rows
    true = torch.bincount(parts, truth.double(), minlength=bins) / rows
    return Reliability(rows.numpy(), predicted.numpy(), true.numpy())


def probability_and_truth(target: Classified) -> tuple[torch.Tensor, torch.Tensor]:
    """The probability of the second of two classes, or of the predicted one of more, and whether it is so; (rows,)."""
    assert target.probability is not None
    if target.classes == 2:
        return target.probability[:, 1], target.labels == 1
    return target.probability.max(1).values, target.labels == target.predicted


def _draw(axes: Axes, strip: Axes, diagram: Reliability) -> None:
    bins = len(diagram.rows)
    edges = np.linspace(0, 1, bins + 1)
    there = diagram.rows > 0
    axes.plot([0, 1], [0, 1], color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.2, label="perfectly calibrated")
    axes.vlines(
        diagram.predicted[there],
        diagram.predicted[there],
        diagram.true[there],
        color=PREDICTION,
        alpha=0.4,
        linewidth=3,
    )
    axes.plot(diagram.predicted[there], diagram.true[there], "o-", color=TRAIN, markersize=5, label="the model")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.tick_params(labelbottom=False)
    strip.bar(edges[:-1], diagram.rows, width=1 / bins, align="edge", color=TRAIN, alpha=0.6, edgecolor="white")
    strip.set(xlim=(-0.02, 1.02), ylabel="rows")
    legend(axes)
