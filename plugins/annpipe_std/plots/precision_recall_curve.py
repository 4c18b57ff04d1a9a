"""The figure `precision_recall_curve`: how pure the rows called a class are, the more of its rows are found."""

from __future__ import annotations

from matplotlib.figure import Figure

from annpipe import RunView, plot
from annpipe_std.plots.classes import judged, refused_scores
from annpipe_std.plots.curves import curves_of, draw_curves, precision_recall_area, precision_recall_points
from annpipe_std.plots.refusals import without_scores
from annpipe_std.plots.style import TRUTH, legend, message, panels, styled

TITLE = "precision-recall curve"


@plot(check=without_scores)
@styled
def precision_recall_curve(view: RunView) -> Figure:
    """Precision over recall of each class against all others, with the average precision (AP), on the validation split.

    Of two classes the second's; of several targets of 0 and 1 one each. Raises OptionError where no target has scores.
    """
    found = judged(view)
    if found is None:
        return message(view, TITLE, "There are no rows.")
    if not found.scored:
        raise refused_scores("precision_recall_curve", view.loss)
    curves = curves_of(found, precision_recall_points, precision_recall_area)
    if not curves:
        return message(view, TITLE, "No class has rows of its own, and scores to order them.")
    figure, (axes,) = panels(view, TITLE)
    if len(curves) == 1:
        (curve,) = curves
        label = f"chance, AP {curve.share:.3f}"
        axes.axhline(curve.share, color=TRUTH, linestyle=(0, (4, 2)), linewidth=1.2, label=label)
    draw_curves(axes, curves, "AP", drawstyle="steps-pre")
    axes.set(xlabel="recall", ylabel="precision")
    axes.set_title(found.rows, fontsize=9)
    legend(axes, "lower left")
    return figure
