"""The figure `residuals`: prediction minus truth, against the prediction."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from annpipe import OptionError, RunView, plot
from annpipe_std.plots.refusals import without_numbers
from annpipe_std.plots.rows import column, numbers, outputs, rows_label, shared_out, splits
from annpipe_std.plots.style import (
    MAX_PANELS,
    MAX_POINTS,
    TRUTH,
    legend,
    message,
    panels,
    points,
    shown,
    split_colour,
    styled,
)

TITLE = "residuals"


@plot(check=without_numbers)
@styled
def residuals(view: RunView) -> Figure:
    """Prediction minus truth against prediction, a panel for each target; a good fit is a cloud around zero.

    A slope or a bend shows what the model has not learned, a funnel noise that grows with the prediction. Raises
    OptionError where the loss takes classes, or the targets are more than single numbers.
    """
    if not splits(view):
        return message(view, TITLE, "There are no rows.")
    targets = _number_targets(view)
    if not targets:
        raise OptionError(
            "",
            f"{view.loss or 'the loss'} is not trained on single numbers here: residuals have no difference to draw",
            help="draw `confusion_matrix` for classes",
        )
    figure, all_axes = panels(view, TITLE, len(targets))
    for axes, target in zip(all_axes, targets, strict=True):
        _draw(axes, view, target, MAX_POINTS // len(targets))
    return figure


def _number_targets(view: RunView) -> list[str]:
    """The targets of one number a row for which the model gives one number."""
    first = next(iter(splits(view).values()))
    output = outputs(view, first, np.arange(1))
    single = [name for name in numbers(view.train.targets) if output[name][0].numel() == 1]
    return single[:MAX_PANELS]


def _draw(axes: Axes, view: RunView, target: str, limit: int) -> None:
    axes.axhline(0, color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.2, label="prediction = truth")
    for name, split, chosen in shared_out(view, limit):
        predicted = column(outputs(view, split, chosen)[target])
        residual = predicted - column(split.targets[target])[chosen]
        label = rows_label(name, len(chosen), split.rows)
        if lost := int((~np.isfinite(residual)).sum()):
            label += f", {lost:,} not finite"
        points(axes, predicted, residual, color=split_colour(name), label=label)
    axes.set_xlabel(f"predicted {shown(target)}")
    axes.set_ylabel("predicted - true")
    legend(axes)
