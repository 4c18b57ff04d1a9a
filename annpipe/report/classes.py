"""Figures of class targets: precision, recall and F1 of each class, and how predicted probabilities come true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annpipe.datasets.cell_columns import Array
from annpipe.report.answers import TargetAnswers

BINS = 10
MOST_CLASSES_SHOWN = 30


@dataclass(frozen=True)
class ClassMeasures:
    """A class: the share of predictions of it that are right, the share of its rows that are found, both in one (F1).

    NaN where there are no such predictions or rows. `support` is the number of its rows.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Bin:
    """The rows whose predicted probability is between `low` and `high`: its mean, and the share that came true."""

    low: float
    high: float
    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram of probabilities `of` a class or of the predicted one, by bins of equal width.

    `error` is the expected calibration error (Naeini et al., 2015): |predicted - observed|, each bin by its rows.
    """

    of: str
    bins: tuple[Bin, ...]
    error: float


def class_measures(answers: TargetAnswers) -> tuple[ClassMeasures, ...]:
    """Precision, recall and F1 of each class over the rows (or positions) that have a label."""
    truth, predicted = answers.truth.ravel(), answers.predicted.ravel()
    there = (truth >= 0) & (truth < len(answers.classes))
    truth, predicted = truth[there], predicted[there]
    n = len(answers.classes)
    support, called = np.bincount(truth, minlength=n), np.bincount(predicted, minlength=n)
    right = np.bincount(truth[truth == predicted], minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = right / called, right / support
        f1 = 2 * right / (called + support)
    return tuple(
        ClassMeasures(name, float(precision[k]), float(recall[k]), float(f1[k]), int(support[k]))
        for k, name in enumerate(answers.classes)
    )


def calibration(answers: TargetAnswers) -> Calibration | None:
    """Of two classes the probability of the second, of more that of the predicted one; None without probabilities."""
    if answers.probability is None or not len(answers.classes):
        return None
    there = (answers.truth >= 0) & np.isfinite(answers.probability).all(1)
    probability, truth = answers.probability[there], answers.truth[there]
    if not len(truth):
        return None
    if len(answers.classes) == 2 and probability.shape[1] == 2:
        return reliability(probability[:, 1], truth == 1, answers.classes[1])
    return reliability(probability.max(1), truth == probability.argmax(1), "")


def reliability(probability: Array, is_so: Array, of: str) -> Calibration:
    """Cuts [0, 1] into equal bins, the right end of each its own; both arguments are (rows,)."""
    number = np.clip(np.ceil(probability * BINS), 1, BINS).astype(np.int64) - 1
    rows = np.bincount(number, minlength=BINS)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(number, probability, minlength=BINS) / rows
        observed = np.bincount(number, is_so, minlength=BINS) / rows
    bins = tuple(
        Bin(k / BINS, (k + 1) / BINS, int(rows[k]), float(predicted[k]), float(observed[k]))
        for k in range(BINS)
        if rows[k]
    )
    error = sum(abs(part.predicted - part.observed) * part.rows for part in bins) / len(probability)
    return Calibration(of, bins, float(error))
