"""Metrics: accumulators whose value does not depend on how the rows are divided into batches.

`regression` for numbers, `classes` for predicted classes, `ranking` for the order of the rows by their scores. Sums are
kept on the device of the predictions, so that nothing waits for them before `compute`. A metric without rows is nan.
Names are those of torchmetrics, values those of scikit-learn unless a docstring says otherwise.
"""

from __future__ import annotations

from annpipe_std.metrics.classes import Accuracy, CohenKappa, F1Score, MatthewsCorrCoef, Precision, Recall
from annpipe_std.metrics.ranking import AUROC, AveragePrecision
from annpipe_std.metrics.regression import (
    ExplainedVariance,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    PearsonCorrCoef,
    R2Score,
    RootMeanSquaredError,
)

__all__ = [
    "AUROC",
    "Accuracy",
    "AveragePrecision",
    "CohenKappa",
    "ExplainedVariance",
    "F1Score",
    "MatthewsCorrCoef",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "PearsonCorrCoef",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
]
