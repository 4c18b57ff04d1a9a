"""Weights of rows: a loss in which a row of weight 2 counts as two rows, for any loss that adds up over rows.

A loss over rows is a numerator over a divisor, and both add up (see `divisors`). With a weight for each row both are
weighted sums: sum(w n) / sum(w d). Weights go with the targets, as their last column, so that batches carry them.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from annpipe.contract import LossTerm
from annpipe.datasets.steps.tensors import Rows
from annpipe.train.divisors import Term, Terms, compares_labels, label_weights
from annpipe.train.parts import Parts

NAME = "sample_weight"  # of the column that a dataset keeps aside for its rows


class WeightedLoss(nn.Module):
    """A loss whose targets end with a column of weights, (rows, targets + 1); `y` is what its own targets are like."""

    def __init__(self, loss: nn.Module, y: torch.Tensor) -> None:
        super().__init__()
        self.loss = loss
        self._terms = [WeightedTerm(term, y) for term in Terms(loss)]

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """(rows, …) and (rows, targets + 1) -> ()."""
        return torch.stack([term(prediction, target) for term in self._terms]).sum()

    def terms(self) -> list[LossTerm]:
        """Each with a divisor of its own."""
        return [LossTerm(term) for term in self._terms]


class WeightedTerm(nn.Module):
    """One of the losses that a weighted loss adds up."""

    def __init__(self, term: Term, y: torch.Tensor) -> None:
        super().__init__()
        self._term, self._shape, self._dtype = term, y.shape[1:], y.dtype
        self.reduction = "sum" if term.is_sum else "mean"
        self._by_row = _of_torch if _is_torchs(term) else _one_by_one

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The weighted loss, (); 0 where no row counts."""
        y, weights = self._apart(target)
        numerators, divisors = self._by_row(self._term, prediction, y)
        numerator = (weights * numerators).sum()
        if self._term.is_sum:
            return numerator
        divisor = (weights * divisors).sum()
        return torch.where(divisor > 0, numerator / divisor.clamp(min=torch.finfo(divisor.dtype).tiny), numerator * 0)

    def divisor(self, target: torch.Tensor) -> torch.Tensor:
        """The weighted sum of what rows are divided by, ()."""
        y, weights = self._apart(target)
        divisors = _torchs_divisors(self._term, y) if _is_torchs(self._term) else _divisors(self._term, y)
        return (weights * divisors).sum()

    def _apart(self, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows, targets + 1) -> targets as the loss knows them, and weights, (rows,)."""
        y = target[:, :-1].reshape(len(target), *self._shape)
        return (y if self._dtype.is_floating_point else y.round()).to(self._dtype), target[:, -1]


def _is_torchs(term: Term) -> bool:
    """Whether the loss is computed as torch's own, which can give its values row by row."""
    return bool(type(term.loss).forward.__module__ == nn.modules.loss.__name__) and not _has_divisor(term)


def _has_divisor(term: Term) -> bool:
    return callable(getattr(type(term.loss), "divisor", None))


def _of_torch(term: Term, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The numerators and divisors of rows, (rows,) each, in one call of the loss."""
    loss: Any = copy.copy(term.loss)
    loss.reduction = "none"
    values = loss(term.of_prediction(prediction), term.of_target(y)).reshape(len(y), -1)
    adds_up = term.is_sum or _takes_labels(term, y)
    return term.weight * (values.sum(1) if adds_up else values.mean(1)), _torchs_divisors(term, y)


def _torchs_divisors(term: Term, y: torch.Tensor) -> torch.Tensor:
    if not _takes_labels(term, y):
        return torch.ones(len(y), device=y.device)
    loss: Any = term.loss
    return label_weights(loss.weight, loss.ignore_index, term.of_target(y)).reshape(len(y), -1).sum(1)


def _takes_labels(term: Term, y: torch.Tensor) -> bool:
    return compares_labels(term.loss) and not term.of_target(y).is_floating_point()


def _one_by_one(term: Term, prediction: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of any loss, in a call for each row."""
    rows = zip(torch.split(prediction, 1), torch.split(y, 1), strict=True)
    return torch.stack([term.numerator(*row) for row in rows]), _divisors(term, y)


def _divisors(term: Term, y: torch.Tensor) -> torch.Tensor:
    return torch.stack([term.divisor(row) for row in torch.split(y, 1)])


def weighted_parts(parts: Parts, weights: torch.Tensor) -> Parts:
    """The parts whose train split has weights, (rows,): its targets carry them, and its loss reads them."""
    rows = parts.rows["train"]
    assert isinstance(rows, Rows)  # rows in files have no column aside
    columns = [rows.y.reshape(len(rows), -1).to(rows.dtype), weights.to(rows.device, rows.dtype)[:, None]]
    train = Rows(rows.x, torch.cat(columns, dim=1))
    return replace(parts, rows={**parts.rows, "train": train}, loss=WeightedLoss(parts.loss, rows.y))
