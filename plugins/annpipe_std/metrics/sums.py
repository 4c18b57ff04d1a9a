"""Running sums for metrics of numbers: means and spreads, merged batch by batch in double precision."""

from __future__ import annotations

import math

import torch


class Mean:
    """A sum over elements and their number."""

    def __init__(self) -> None:
        self._sum: torch.Tensor | None = None
        self._count = 0

    def add(self, values: torch.Tensor) -> None:
        """Takes elements of any shape."""
        total = values.sum(dtype=torch.float64)
        self._sum = total if self._sum is None else self._sum + total
        self._count += values.numel()

    def value(self) -> float:
        """The mean of all elements so far; nan when there were none."""
        return math.nan if self._sum is None or not self._count else float(self._sum) / self._count


class Means:
    """For each output, however many there are, a sum over rows and their number."""

    def __init__(self) -> None:
        self._sums: torch.Tensor | None = None  # (outputs,)
        self._rows = 0

    def add(self, values: torch.Tensor) -> None:
        """Takes (rows, …), each number of a row an output."""
        if not len(values):
            return
        sums = values.reshape(len(values), -1).sum(0, dtype=torch.float64)
        self._sums = sums if self._sums is None else self._sums + sums
        self._rows += len(values)

    def root(self) -> float:
        """The mean over outputs of the root of each one's mean; nan when there were no rows."""
        return math.nan if self._sums is None else float((self._sums / self._rows).sqrt().mean())


class Spread:
    """How variables vary, each around its own mean and together: Σ (x - mean x)(y - mean y) of every two.

    Shape: batches are (rows, variables, outputs); `value` is (variables, variables, outputs), float64.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.value: torch.Tensor | None = None
        self._mean: torch.Tensor | None = None
        self._origin: torch.Tensor | None = None  # the first row: from there what never varies has spread 0, exactly

    def add(self, *variables: torch.Tensor) -> None:
        """Takes a batch of each variable, (rows, outputs), with one row or more."""
        values = torch.stack([variable.reshape(len(variable), -1) for variable in variables], 1)
        if self._origin is None:
            self._origin = values[0].clone()
        values = values - self._origin
        mean = values.mean(0)
        away = values - mean
        self._merge(len(values), mean, torch.einsum("rko,rlo->klo", away, away))

    def _merge(self, rows: int, mean: torch.Tensor, value: torch.Tensor) -> None:
        """Chan, Golub and LeVeque (1979): the sums of deviations of two sets out of each one's own."""
        before, self.rows = self.rows, self.rows + rows
        if self._mean is None or self.value is None:
            self._mean, self.value = mean, value
            return
        shift = mean - self._mean
        self._mean = self._mean + shift * (rows / self.rows)
        self.value = self.value + value + shift[:, None] * shift[None] * (before * rows / self.rows)


def difference(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """prediction - target in double precision; raises ValueError where their shapes differ."""
    check_shapes(prediction, target)
    return double(prediction) - double(target)


def check_shapes(prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Broadcasting (rows, 1) against (rows,) would compare every row with every other."""
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must have one shape")


def double(tensor: torch.Tensor) -> torch.Tensor:
    """Apple's mps device has no doubles, so there the sums are kept on the CPU."""
    return placed(tensor).to(torch.float64)


def placed(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without its graph, where sums over it are kept."""
    return tensor.detach().to("cpu" if tensor.device.type == "mps" else tensor.device)
