"""ROC and precision-recall curves, one for each class: their points, and which of them are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes

from annpipe_std.metrics.ranking import Level, area, average_precision, levels_of
from annpipe_std.plots.classes import Classified, ClassTargets
from annpipe_std.plots.style import CLASS_COLOURS, Doubles, shown

MOST_COLOURED, MOST_DRAWN = len(CLASS_COLOURS), 60
MAX_POINTS_OF_A_CURVE = 400
OTHERS = "#b0b0b0"
Points = tuple[Doubles, Doubles]


@dataclass(frozen=True)
class Curve:
    """The points of a curve, (points,) each, the area under it, and the fraction of rows that are of its class."""

    label: str
    x: Doubles
    y: Doubles
    value: float
    prevalence: float


def roc_points(level: Level) -> Points:
    """False and true positive rates, from the highest score to the lowest."""
    hits, misses = _from_the_highest(level)
    return misses / max(misses[-1], 1), hits / max(hits[-1], 1)


def precision_recall_points(level: Level) -> Points:
    """Recall and precision from the highest score to the lowest; at recall 0, as in scikit-learn, precision is 1."""
    hits, misses = _from_the_highest(level)
    precision = np.concatenate([[1.0], hits[1:] / (hits + misses)[1:]])
    return hits / max(hits[-1], 1), precision


def roc_area(level: Level) -> float:
    """The area under the ROC curve; nan where there are no rows of the class, or no others."""
    return area(*level)


def precision_recall_area(level: Level) -> float:
    """The average precision; nan where there are no rows of the class."""
    return average_precision(*level)


def curves_of(
    classified: ClassTargets, points: Callable[[Level], Points], value: Callable[[Level], float]
) -> list[Curve]:
    """The curve of each class against all others, those of the lowest value first; classes without one are left out."""
    curves = []
    for target in classified.scored:
        for name, score, inside in target.one_against_rest():
            if score.isnan().any() or math.isnan(worth := value(level := levels_of(score, inside))):
                continue
            label = _label(classified, target, name)
            curves.append(Curve(label, *_thinned(*points(level)), worth, float(inside.double().mean())))
    return sorted(curves, key=lambda curve: curve.value) if len(curves) > MOST_COLOURED else curves


def draw_curves(axes: Axes, curves: list[Curve], word: str, drawstyle: str = "default") -> None:
    """Each curve in a colour with its value in the legend; of very many the lowest, the others grey."""
    for curve in curves[MOST_COLOURED:MOST_DRAWN]:
        axes.plot(curve.x, curve.y, color=OTHERS, linewidth=0.8, drawstyle=drawstyle, zorder=1)
    for curve, colour in zip(curves, CLASS_COLOURS, strict=False):
        label = f"{curve.label}, {word} {curve.value:.3f}" if curve.label else f"{word} {curve.value:.3f}"
        axes.plot(curve.x, curve.y, color=colour, drawstyle=drawstyle, label=label)
    if others := curves[MOST_COLOURED:]:
        low, high = others[0].value, others[-1].value
        label = f"{len(others):,} other{'s' * (len(others) != 1)}, {word} {low:.3f} to {high:.3f}"
        axes.plot([], [], color=OTHERS, linewidth=0.8, label=label)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))


def _from_the_highest(level: Level) -> tuple[Doubles, Doubles]:
    """Rows of the class, and others, that score at least so high: from none at all to all, (levels + 1,) each."""
    hits, misses = (torch.cat([torch.zeros(1), counts.flip(0).cumsum(0).double()]).numpy() for counts in level)
    return hits, misses


def _thinned(x: Doubles, y: Doubles) -> Points:
    """The corners of the curve, evenly chosen where they are more than can be seen."""
    if len(x) <= MAX_POINTS_OF_A_CURVE:
        return x, y
    indices = np.linspace(0, len(x) - 1, MAX_POINTS_OF_A_CURVE).round().astype(int)
    return x[indices], y[indices]


def _label(classified: ClassTargets, target: Classified, name: str) -> str:
    """The class, the target, or both: what tells this curve from the others."""
    if len(classified.scored) == 1:
        return shown(name) if target.classes > 2 or name != "1" else ""
    return shown(target.target) if target.classes == 2 else shown(f"{target.target} = {name}")
