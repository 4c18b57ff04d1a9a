"""Metrics of predicted numbers: their distance from the truth, and how much of its variance they explain.

**Shape:** prediction and target are (rows, outputs) or of any other one shape, rows first; floats of any precision.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from annpipe import metric
from annpipe_std.metrics.sums import Mean, Means, Spread, check_shapes, difference, double


@metric
class MeanAbsoluteError:
    """The mean of |prediction - target|, in the units of the target; of several outputs over all of them."""

    def __init__(self) -> None:
        self._mean = Mean()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        self._mean.add(difference(prediction, target).abs())

    def compute(self) -> float:
        return self._mean.value()


@metric
class MeanAbsolutePercentageError:
    """The mean of |prediction - target| / |target|, as a share: 0.05 is five percent; of several outputs over all.

    As in scikit-learn, a target nearer to zero than 2.2e-16 counts as 2.2e-16, which makes the mean huge: this is no
    metric for targets around zero.
    """

    def __init__(self) -> None:
        self._mean = Mean()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        smallest = torch.finfo(torch.float64).eps
        self._mean.add(difference(prediction, target).abs() / double(target).abs().clamp(min=smallest))

    def compute(self) -> float:
        return self._mean.value()


@metric
class MeanSquaredError:
    """The mean of (prediction - target)²; of several outputs over all of them."""

    def __init__(
        self,
        squared: Annotated[
            bool, Field(description="false: the root of the mean, in the units of the target, as RootMeanSquaredError")
        ] = True,
    ) -> None:
        self.squared = squared
        self._mean, self._means = Mean(), Means()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        (self._mean if self.squared else self._means).add(difference(prediction, target).square())

    def compute(self) -> float:
        return self._mean.value() if self.squared else self._means.root()


@metric
class RootMeanSquaredError:
    """The root of the mean of (prediction - target)², in the units of the target; of several outputs the mean of roots.

    Each output has its own root, and these are averaged, as in scikit-learn and torchmetrics: it is not the root of
    MeanSquaredError then.
    """

    def __init__(self) -> None:
        self._means = Means()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        self._means.add(difference(prediction, target).square())

    def compute(self) -> float:
        return self._means.root()


@metric
class R2Score:
    """The share of the target's variance that the predictions explain; 1 is perfect, 0 is as good as the mean.

    The mean over outputs. As in scikit-learn, a target that never varies scores 1 when every prediction is exact and
    0 otherwise, and fewer than two rows give nan.
    """

    higher_is_better = True

    def __init__(self) -> None:
        self._spread = Spread()
        self._residual: torch.Tensor | None = None

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        if not len(target):
            return
        residual = difference(prediction, target).square().reshape(len(target), -1).sum(0)
        self._spread.add(double(target))
        self._residual = residual if self._residual is None else self._residual + residual

    def compute(self) -> float:
        if self._spread.rows < 2 or self._spread.value is None or self._residual is None:
            return math.nan
        return _explained(self._residual, self._spread.value[0, 0])


@metric
class ExplainedVariance:
    """1 - variance of (prediction - target) / variance of target: R2Score that forgives a constant offset.

    The mean over outputs. As in scikit-learn, a target that never varies scores 1 when the predictions vary as little
    and 0 otherwise; fewer than two rows give nan.
    """

    higher_is_better = True

    def __init__(self) -> None:
        self._spread = Spread()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        residual = difference(prediction, target)
        if len(target):
            self._spread.add(residual, double(target))

    def compute(self) -> float:
        if self._spread.rows < 2 or self._spread.value is None:
            return math.nan
        return _explained(self._spread.value[0, 0], self._spread.value[1, 1])


@metric
class PearsonCorrCoef:
    """Pearson's correlation of prediction and target, from -1 to 1; any straight line between them scores 1 or -1.

    The mean over outputs. nan when the predictions or the targets of an output never vary, and for fewer than two rows.
    """

    higher_is_better = True

    def __init__(self) -> None:
        self._spread = Spread()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        check_shapes(prediction, target)
        if len(target):
            self._spread.add(double(prediction), double(target))

    def compute(self) -> float:
        if self._spread.rows < 2 or self._spread.value is None:
            return math.nan
        (prediction_variance, covariance), (_, target_variance) = self._spread.value
        return float((covariance / (prediction_variance.sqrt() * target_variance.sqrt())).clamp(-1, 1).mean())


def _explained(lost: torch.Tensor, spread: torch.Tensor) -> float:
    """The mean over outputs of 1 - lost / spread; where nothing varies 1 if nothing is lost, else 0."""
    constant = torch.where(lost == 0, 1.0, 0.0).to(spread)
    return float(torch.where(spread == 0, constant, 1 - lost / spread).mean())
