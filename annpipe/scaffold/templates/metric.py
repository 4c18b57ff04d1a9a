"""A metric: gathers batches, and computes one number of them."""

import math

import torch

from annpipe import metric


@metric
class WorstError:
    """The largest |prediction - target|."""

    def __init__(self) -> None:
        self._worst: torch.Tensor | None = None

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        worst = (prediction - target).detach().abs().max()
        self._worst = worst if self._worst is None else torch.maximum(self._worst, worst)

    def compute(self) -> float:
        return math.nan if self._worst is None else float(self._worst)
