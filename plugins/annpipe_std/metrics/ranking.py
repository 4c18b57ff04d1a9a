"""Metrics of the order of rows by their scores; they need all scores at once and keep them until `compute`.

**Shape:** scores (rows, classes, …) with int64 labels (rows, …), where each class is held against all others by its
share of the softmax (so logits and log-probabilities both serve); or prediction and target both (rows, outputs) with
targets of 0 and 1, where only the order of the predictions counts. A row whose label is negative (`ignore_index` of
CrossEntropyLoss) is left out.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import metric
from annpipe_std.metrics.classes import as_target, is_class, names_classes
from annpipe_std.metrics.sums import double, placed

Average = Annotated[
    Literal["macro", "weighted"],
    Field(description="How the classes become one number: macro: each counts the same; weighted: each by its rows."),
]


class _Ranking:
    """What the metrics of an order share: the average over classes, and the keeping of scores."""

    higher_is_better = True

    def __init__(self, average: Average = "macro") -> None:
        self.average = average
        self._scores = Scores()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch: scores (rows, classes, …) with labels (rows, …), or both (rows, outputs)."""
        self._scores.add(prediction, target)


@metric(classes=True)
class AUROC(_Ranking):
    """The chance that a row of a class scores higher than one that is not: the area under the ROC curve.

    1 is perfect, 0.5 is chance; rows with the same score count half. A class of no row or of all rows has no such
    chance and is left out of the average; nan when none is left, or when a score is nan.
    """

    def compute(self) -> float:
        levels = self._scores.levels()
        return _averaged([area(inside, outside) for inside, outside in levels], levels, self.average)


@metric(classes=True)
class AveragePrecision(_Ranking):
    """The area under the precision-recall curve: precision at each level of score, weighted by the recall it adds.

    Without interpolation, as in scikit-learn; but a class without rows has no such curve and is left out of the average
    (scikit-learn counts 0); nan when none is left, or when a score is nan.
    """

    def compute(self) -> float:
        levels = self._scores.levels()
        return _averaged([average_precision(inside, outside) for inside, outside in levels], levels, self.average)


Level = tuple[torch.Tensor, torch.Tensor]
"""For each different score, from the lowest: the rows inside the class that have it, and those outside; int64."""


class Scores:
    """Every score so far and what it should have been."""

    def __init__(self) -> None:
        self._batches: list[tuple[torch.Tensor, torch.Tensor]] = []

    def add(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Keeps (rows, classes) scores and truth values; raises ValueError where the shapes fit neither form."""
        truth = placed(target)
        if not names_classes(prediction, target):
            flat = len(target), target.shape[1:].numel()
            self._batches.append((placed(as_target(prediction, target)).reshape(flat), truth.reshape(flat) > 0.5))
            return
        classes = prediction.shape[1]
        scores = double(prediction).softmax(1).movedim(1, -1).reshape(-1, classes)  # (rows, classes, …) -> (…, classes)
        truth = truth.reshape(-1, 1)
        named = is_class(truth[:, 0], classes)
        self._batches.append((scores[named], (truth == torch.arange(classes, device=truth.device))[named]))

    def levels(self) -> list[Level]:
        """The levels of each class; none where there are no rows, or scores that are nan and have no order."""
        batches = [batch for batch in self._batches if len(batch[0])]
        if not batches:
            return []
        scores, truth = (torch.cat(parts) for parts in zip(*batches, strict=True))
        if scores.isnan().any():
            return []
        return [levels_of(score, inside) for score, inside in zip(scores.unbind(1), truth.unbind(1), strict=True)]


def levels_of(score: torch.Tensor, inside: torch.Tensor) -> Level:
    """The levels of one class out of its scores and whether each row is inside it, both (rows,)."""
    different, places = score.unique(return_inverse=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    empty = torch.zeros(len(different), dtype=torch.int64, device=score.device)
    return empty.index_add(0, places, inside.to(empty)), empty.index_add(0, places, (~inside).to(empty))


def area(inside: torch.Tensor, outside: torch.Tensor) -> float:
    """Mann and Whitney's U over the number of pairs, counted in halves and whole numbers."""
    below = 2 * outside.cumsum(0) - outside
    pairs = int(inside.sum()) * int(outside.sum())
    return int((inside * below).sum()) / (2 * pairs) if pairs else math.nan


def average_precision(inside: torch.Tensor, outside: torch.Tensor) -> float:
    """Σ precision · added recall over the levels, from the highest."""
    hits, misses = (double(counts.flip(0).cumsum(0)) for counts in (inside, outside))
    rows = int(inside.sum())
    return float((inside.flip(0) * hits / (hits + misses)).sum()) / rows if rows else math.nan


def _averaged(values: list[float], levels: list[Level], average: str) -> float:
    """The mean of the values that there are."""
    rows = [int(inside.sum()) for inside, _ in levels]
    there = [(v, n if average == "weighted" else 1) for v, n in zip(values, rows, strict=True) if not math.isnan(v)]
    total = sum(weight for _, weight in there)
    return sum(value * weight for value, weight in there) / total if total else math.nan
