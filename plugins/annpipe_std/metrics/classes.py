"""Metrics of predicted classes, from counts of rows by true and predicted class.

**Shape:** scores (rows, classes, …) with int64 labels (rows, …), where the largest score names the class; or prediction
and target both (rows, outputs) with targets of 0 and 1, where an output above `threshold` says 1. Rows whose label is
negative (`ignore_index` of CrossEntropyLoss) are left out.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import metric
from annpipe_std.metrics.sums import check_shapes, placed

Threshold = Annotated[
    float | None,
    Field(
        description="Above it a single prediction means 1; null: 0 where the loss makes raw scores of predictions "
        "(BCEWithLogitsLoss), 0.5 for probabilities and for outputs fitted to 0 and 1."
    ),
]
Average = Annotated[
    Literal["micro", "macro", "weighted"],
    Field(
        description="How the classes become one number: macro: each counts the same; weighted: each by its rows; "
        "micro: their hits and misses are put together first."
    ),
]


class _Counted:
    """What the metrics of counts share: where a single output becomes a 1, and the counting."""

    higher_is_better = True

    def __init__(self, threshold: Threshold = None) -> None:
        self.threshold = 0.5 if threshold is None else threshold  # by itself it knows no loss
        self._calls = Calls()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch: scores (rows, classes, …) with labels (rows, …), or both (rows, outputs)."""
        self._calls.add(prediction, target, self.threshold)


class _Averaged(_Counted):
    """What the metrics of each class share: how the classes become one number."""

    def __init__(self, threshold: Threshold = None, average: Average = "macro") -> None:
        super().__init__(threshold)
        self.average = average


@metric(classes=True, threshold="threshold")
class Accuracy(_Counted):
    """The share of predictions that name the right class.

    Class labels (int64) are held against the largest of the scores; targets of 0 and 1 against which side of
    `threshold` the prediction lies on, each output by itself: of several outputs it is the mean of their accuracies, as
    in torchmetrics (scikit-learn's `accuracy_score` asks that all outputs of a row be right).
    """

    def compute(self) -> float:
        rows, right, _, _, _ = self._calls.agreement()
        return right / rows if rows else math.nan


@metric(classes=True, threshold="threshold")
class Precision(_Averaged):
    """Of the rows called a class, the share that are of it.

    A single output is asked about its 1s, several outputs of 0 and 1 each about its own. A class that nothing is called
    scores 0, as in scikit-learn; one that is neither called nor there is left out of the average.
    """

    def compute(self) -> float:
        return self._calls.averaged(self.average, called=1, there=0)


@metric(classes=True, threshold="threshold")
class Recall(_Averaged):
    """Of the rows of a class, the share that are called it.

    A single output is asked about its 1s, several outputs of 0 and 1 each about its own. A class that has no rows but
    is called scores 0, as in scikit-learn; one that is neither called nor there is left out of the average.
    """

    def compute(self) -> float:
        return self._calls.averaged(self.average, called=0, there=1)


@metric(classes=True, threshold="threshold")
class F1Score(_Averaged):
    """The harmonic mean of precision and recall, 2 · hits / (called + there), of each class.

    A single output is asked about its 1s, several outputs of 0 and 1 each about its own. A class that is neither called
    nor there is left out of the average; a single output without a 1 on either side scores 0, as in scikit-learn.
    """

    def compute(self) -> float:
        return self._calls.averaged(self.average, called=0.5, there=0.5)


@metric(classes=True, threshold="threshold")
class CohenKappa(_Counted):
    """The accuracy beyond chance (Cohen, 1960): 1 is perfect, 0 is what guessing at the same rates would reach.

    Several outputs of 0 and 1 are counted together. nan when all rows are of one class and are called it.
    """

    def compute(self) -> float:
        rows, right, chance, _, _ = self._calls.agreement()
        # in whole numbers, so that a chance of exactly 1 is seen
        return (rows * right - chance) / (rows**2 - chance) if rows**2 != chance else math.nan


@metric(classes=True, threshold="threshold")
class MatthewsCorrCoef(_Counted):
    """The correlation of predicted and true class (Matthews, 1975; several classes: Gorodkin, 2004), from -1 to 1.

    Several outputs of 0 and 1 are counted together. As in scikit-learn, 0 when all rows are of one class or are called
    one.
    """

    def compute(self) -> float:
        rows, right, chance, called, there = self._calls.agreement()
        if not rows:
            return math.nan
        spread = math.sqrt((rows**2 - called) * (rows**2 - there))
        return (rows * right - chance) / spread if spread else 0.0


class Calls:
    """For each class, or each output of 0 and 1: how often it was called, was there, and both (a hit).

    Three counts a class suffice for every metric here and stay small where a matrix of 50,000 classes would not.
    """

    def __init__(self) -> None:
        self._counts: torch.Tensor | None = None  # (3, classes): hits, called, there; int64
        self._rows = 0
        self._exclusive = False

    def add(self, prediction: torch.Tensor, target: torch.Tensor, threshold: float) -> None:
        """Takes a batch; raises ValueError where the shapes fit neither form."""
        self._exclusive = names_classes(prediction, target)
        if self._exclusive:
            counts = _class_counts(
                placed(prediction.argmax(1)).flatten(), placed(target).flatten(), prediction.shape[1]
            )
        else:
            called, there = placed(as_target(prediction, target)) > threshold, placed(target) > 0.5
            width = target.shape[1:].numel()
            both = torch.stack([called & there, called, there])
            counts = both.reshape(3, len(target), width).sum(1)  # (3, rows, outputs) -> (3, outputs)
        self._rows += target.numel() if self._exclusive else len(target)
        self._counts = counts if self._counts is None else self._counts + counts

    def averaged(self, average: str, *, called: float, there: float) -> float:
        """hits / (called x calls + there x rows) of each class, averaged; nan without rows."""
        if self._counts is None or not self._rows:
            return math.nan
        counts = self._counts.to(torch.float64)
        counts = counts.sum(1, keepdim=True) if average == "micro" else counts
        hits, calls, rows = counts
        below = called * calls + there * rows
        scores = torch.where(below > 0, hits / below.clamp(min=0.5), 0.0)
        weights = rows if average == "weighted" else (calls + rows > 0) if self._exclusive else torch.ones_like(rows)
        return float((scores * weights).sum() / weights.sum().clamp(min=1))

    def agreement(self) -> tuple[int, int, int, int, int]:
        """Rows, those called what they are, and Σ called · there, Σ called², Σ there² over the classes."""
        if self._counts is None:
            return 0, 0, 0, 0, 0
        counts = [[int(count) for count in row] for row in self._counts.tolist()]  # as numbers that never overflow
        hits, calls, rows = counts if self._exclusive else _with_zeros(counts, self._rows)
        pairs = sum(a * b for a, b in zip(calls, rows, strict=True))
        return sum(rows), sum(hits), pairs, sum(n * n for n in calls), sum(n * n for n in rows)


def names_classes(prediction: torch.Tensor, target: torch.Tensor) -> bool:
    """Whether the prediction holds scores of classes, (rows, classes, …), and the target labels, (rows, …)."""
    return not target.is_floating_point() and prediction.ndim == target.ndim + 1 and prediction.shape[1] > 1


def is_class(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Which labels name one of so many classes; another is the loss's `ignore_index`, for a row without a label."""
    return (labels >= 0) & (labels < classes)


def as_target(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The prediction in the target's shape; raises ValueError where it has other numbers of elements."""
    prediction = prediction.reshape(target.shape) if prediction.numel() == target.numel() else prediction
    check_shapes(prediction, target)
    return prediction


def _class_counts(called: torch.Tensor, there: torch.Tensor, classes: int) -> torch.Tensor:
    """Hits, calls and rows of each class, without labels of none. `index_add_` waits for nothing, which `bincount` does
    on a GPU.
    """
    counts = torch.zeros(3, classes, dtype=torch.int64, device=called.device)
    named = is_class(there, classes).to(torch.int64)
    counts[0].index_add_(0, called, (called == there).to(torch.int64))
    counts[1].index_add_(0, called, named)
    counts[2].index_add_(0, there.clamp(0, classes - 1), named)
    return counts


def _with_zeros(ones: list[list[int]], rows: int) -> list[list[int]]:
    """Counts of outputs of 0 and 1 put together, as those of two classes: the 0s and the 1s."""
    elements = rows * len(ones[0])
    hits, calls, there = (sum(counts) for counts in ones)
    return [[elements - calls - there + hits, hits], [elements - calls, calls], [elements - there, there]]
