"""The figure `precision_recall_curve`: the precision of each class against its recall."""

from __future__ import annotations

from matplotlib.figure import Figure

from annpipe import RunView, plot
from annpipe_std.plots.classes import class_targets, refused_scores
from annpipe_std.plots.curves import curves_of, draw_curves, precision_recall_area, precision_recall_points
from annpipe_std.plots.refusals import without_scores
from annpipe_std.plots.style import TRUTH, legend, message, panels, styled

TITLE = "precision-recall curve"


@plot(check=without_scores)
@styled
def precision_recall_curve(view: RunView) -> Figure:
    """Precision over recall of each class against all others, with the average precision (AP), on held-out rows.

    The rows are those of test, else of val, else of train. Of two classes the curve is the second's; of several targets
    of 0 and 1 there is one each. Raises OptionError where no target has scores.
    """
    classified = class_targets(view)
    if classified is None:
        return message(view, TITLE, "There are no rows.")
    if not classified.scored:
        raise refused_scores("precision_recall_curve", view.loss)
    curves = curves_of(classified, precision_recall_points, precision_recall_area)
    if not curves:
        return message(view, TITLE, "No class has rows of its own, and scores to order them.")
    figure, (axes,) = panels(view, TITLE)
    if len(curves) == 1:
        (curve,) = curves
        label = f"chance, AP {curve.prevalence:.3f}"
        axes.axhline(curve.prevalence, color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.2, label=label)
    draw_curves(axes, curves, "AP", drawstyle="steps-pre")
    axes.set(xlabel="recall", ylabel="precision")
    axes.set_title(classified.rows, fontsize=9)
    legend(axes, "lower left")
    return figure
