"""Metrics: accumulators that give the same value however the rows are cut into batches.

`regression` for numbers, `classes` for what a prediction says, `ranking` for how its scores order the rows. Sums are
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
