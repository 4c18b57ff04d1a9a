"""A loss with weights of rows is the loss of the rows as often as they weigh, and so are its gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from annpipe.train.divisors import Terms
from annpipe.train.weighted import WeightedLoss


class Counted(nn.Module):
    """A plugin's loss with a divisor of its own: the mean over positive targets."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return ((prediction - target).square() * (target > 0)).sum() / self.divisor(target)

    def divisor(self, target: torch.Tensor) -> torch.Tensor:
        return (target > 0).sum()


LABELS = torch.tensor([0, 1, 2, 2, 0, 1])
NUMBERS = torch.tensor([[0.5], [-1.0], [2.0], [0.1], [-0.2], [3.0]], dtype=torch.float64)
LOSSES: list[tuple[Any, torch.Tensor, int]] = [
    (nn.MSELoss(), NUMBERS.repeat(1, 2), 2),
    (nn.L1Loss(reduction="sum"), NUMBERS, 1),
    (nn.HuberLoss(delta=0.5), NUMBERS, 1),
    (nn.BCEWithLogitsLoss(), NUMBERS.sigmoid(), 1),
    (nn.CrossEntropyLoss(), LABELS, 3),
    (nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]).double(), ignore_index=1, label_smoothing=0.1), LABELS, 3),
    (Counted(), NUMBERS, 1),
]


@pytest.mark.parametrize(("loss", "y", "n_outputs"), LOSSES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("weights", [[1.0, 0.0, 2.0, 3.0, 1.0, 1.0], [0.0, 2.0, 0.0, 0.0, 0.0, 0.0]])
def test_weights_are_repeats(loss: Any, y: torch.Tensor, n_outputs: int, weights: list[float]) -> None:
    """Of torch's losses in one call, of others row by row; rows that do not count give 0 and no nan."""
    torch.manual_seed(0)
    prediction = torch.randn(6, n_outputs, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(weights, dtype=torch.float64)
    target = torch.cat([y.reshape(6, -1).double(), weight[:, None]], dim=1)
    weighted = WeightedLoss(loss, y)
    value = weighted(prediction, target)
    rows = torch.repeat_interleave(torch.arange(6), weight.long())
    expected = loss(prediction[rows], y[rows]).nan_to_num()
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, prediction), torch.autograd.grad(expected, prediction)
    torch.testing.assert_close(gradients[0][0], gradients[1][0].nan_to_num())
    terms = Terms(weighted)
    assert terms.sums == Terms(loss).sums
    parts = [(prediction[:2], target[:2]), (prediction[2:], target[2:])]
    numerator = torch.stack([terms.numerators(*part) for part in parts]).sum()
    divisor = 1.0 if terms.sums[0] else torch.stack([terms.divisors(part[1]) for part in parts]).sum()
    torch.testing.assert_close(numerator / divisor if divisor > 0 else numerator, expected)
