"""Metrics: accumulators that give the same value however the rows are cut into batches.

Sums are kept in double precision on the device of the predictions, so that nothing waits for them before `compute`.
A metric without rows is nan.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from annpipe import metric


class _Mean:
    """A sum over elements and their number."""

    def __init__(self) -> None:
        self._sum: torch.Tensor | None = None
        self._count = 0

    def add(self, values: torch.Tensor) -> None:
        total = values.sum(dtype=torch.float64)
        self._sum = total if self._sum is None else self._sum + total
        self._count += values.numel()

    def value(self) -> float:
        return math.nan if self._sum is None or not self._count else float(self._sum) / self._count


@metric
class MeanAbsoluteError:
    """The mean of |prediction - target|, in the units of the target."""

    def __init__(self) -> None:
        self._mean = _Mean()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        self._mean.add(_difference(prediction, target).abs())

    def compute(self) -> float:
        return self._mean.value()


@metric
class MeanSquaredError:
    """The mean of (prediction - target)²."""

    def __init__(self) -> None:
        self._mean = _Mean()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        self._mean.add(_difference(prediction, target).square())

    def compute(self) -> float:
        return self._mean.value()


@metric
class RootMeanSquaredError:
    """The root of the mean of (prediction - target)², in the units of the target."""

    def __init__(self) -> None:
        self._mean = _Mean()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        self._mean.add(_difference(prediction, target).square())

    def compute(self) -> float:
        return math.sqrt(self._mean.value())


@metric
class R2Score:
    """The share of the target's variance that the predictions explain; 1 is perfect, 0 is as good as the mean.

    The mean over outputs. As in scikit-learn, a target that never varies scores 1 when every prediction is exact and
    0 otherwise, and fewer than two rows give nan.
    """

    higher_is_better = True

    def __init__(self) -> None:
        self._rows = 0
        self._origin: torch.Tensor | None = None  # the first row: from there a constant target has spread 0, exactly
        self._mean: torch.Tensor | None = None
        self._spread: torch.Tensor | None = None
        self._residual: torch.Tensor | None = None

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        rows = len(target)
        if not rows:
            return
        residual = _difference(prediction, target).square().reshape(rows, -1).sum(0)
        values = _double(target).reshape(rows, -1)
        if self._origin is None:
            self._origin = values[0].clone()
        values = values - self._origin
        mean = values.mean(0)
        self._merge(rows, mean, (values - mean).square().sum(0), residual)

    def _merge(self, rows: int, mean: torch.Tensor, spread: torch.Tensor, residual: torch.Tensor) -> None:
        """Chan, Golub and LeVeque (1979): the sum of squared deviations of two sets out of each one's own."""
        before, self._rows = self._rows, self._rows + rows
        if self._mean is None or self._spread is None or self._residual is None:
            self._mean, self._spread, self._residual = mean, spread, residual
            return
        shift = mean - self._mean
        self._mean = self._mean + shift * (rows / self._rows)
        self._spread = self._spread + spread + shift.square() * (before * rows / self._rows)
        self._residual = self._residual + residual

    def compute(self) -> float:
        if self._rows < 2 or self._spread is None or self._residual is None:
            return math.nan
        constant = torch.where(self._residual == 0, 1.0, 0.0).to(self._spread)
        scores = torch.where(self._spread == 0, constant, 1 - self._residual / self._spread)
        return float(scores.mean())


@metric
class Accuracy:
    """The share of predictions that name the right class.

    Class labels (int64) are held against the largest of the scores; targets of 0 and 1 against which side of
    `threshold` the prediction lies on, each output by itself.
    """

    higher_is_better = True

    def __init__(
        self,
        threshold: Annotated[
            float,
            Field(
                description="Above it a single prediction means 1: 0.5 for probabilities and for outputs fitted to "
                "0 and 1, 0 for logits (BCEWithLogitsLoss)."
            ),
        ] = 0.5,
    ) -> None:
        self.threshold = threshold
        self._mean = _Mean()

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch: scores (rows, classes, …) with labels (rows, …), or both (rows, outputs)."""
        if not target.is_floating_point() and prediction.ndim == target.ndim + 1 and prediction.shape[1] > 1:
            self._mean.add(prediction.argmax(1) == target)
            return
        prediction = prediction.reshape(target.shape) if prediction.numel() == target.numel() else prediction
        _check_shapes(prediction, target)
        self._mean.add((prediction > self.threshold) == (target > 0.5))

    def compute(self) -> float:
        return self._mean.value()


def _difference(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """prediction - target in double precision."""
    _check_shapes(prediction, target)
    return _double(prediction) - _double(target)


def _check_shapes(prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Broadcasting (rows, 1) against (rows,) would compare every row with every other."""
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must have one shape")


def _double(tensor: torch.Tensor) -> torch.Tensor:
    """Apple's mps device has no doubles, so there the sums are kept on the CPU."""
    device = "cpu" if tensor.device.type == "mps" else tensor.device
    return tensor.detach().to(device).to(torch.float64)
