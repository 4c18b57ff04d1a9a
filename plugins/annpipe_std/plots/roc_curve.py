"""The figure `roc_curve`: the true positive rate of each class against its false positive rate."""

from __future__ import annotations

from matplotlib.figure import Figure

from annpipe import RunView, plot
from annpipe_std.plots.classes import class_targets, refused_scores
from annpipe_std.plots.curves import curves_of, draw_curves, roc_area, roc_points
from annpipe_std.plots.refusals import without_scores
from annpipe_std.plots.style import TRUTH, legend, message, panels, styled

TITLE = "ROC curve"


@plot(check=without_scores)
@styled
def roc_curve(view: RunView) -> Figure:
    """The ROC curve of each class against all others, with the area under it (AUC), on the held-out rows.

    The rows are those of test, else of val, else of train. Of two classes the curve is the second's; of several targets
    of 0 and 1 there is one each. Raises OptionError where no target has scores.
    """
    classified = class_targets(view)
    if classified is None:
        return message(view, TITLE, "There are no rows.")
    if not classified.scored:
        raise refused_scores("roc_curve", view.loss)
    curves = curves_of(classified, roc_points, roc_area)
    if not curves:
        return message(view, TITLE, "No class has rows of its own and others, and scores to order them.")
    figure, (axes,) = panels(view, TITLE)
    axes.plot([0, 1], [0, 1], color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.2, label="chance, AUC 0.5")
    draw_curves(axes, curves, "AUC")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.set_title(classified.rows, fontsize=9)
    legend(axes, "lower right")
    return figure
