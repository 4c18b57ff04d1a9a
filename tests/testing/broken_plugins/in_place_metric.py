"""Fault: the error is computed in the memory of the prediction, which the next metric reads."""

import math

import torch

from annpipe import metric


@metric
class LargestError:
    """The largest error."""

    def __init__(self) -> None:
        self._largest = torch.tensor(-math.inf)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        error = prediction
        error -= target  # fault
        self._largest = torch.maximum(self._largest, error.abs().max())

    def compute(self) -> float:
        return float(self._largest)
