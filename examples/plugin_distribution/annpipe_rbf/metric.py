"""The metric `MaxError`."""

import math

import torch

from annpipe import metric


@metric
class MaxError:
    """The largest |prediction - target|; nan without rows."""

    def __init__(self) -> None:
        self._largest: torch.Tensor | None = None

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Takes a batch; prediction and target are (rows, outputs)."""
        largest = (prediction - target).abs().max()
        self._largest = largest if self._largest is None else torch.maximum(self._largest, largest)

    def compute(self) -> float:
        return math.nan if self._largest is None else float(self._largest)
