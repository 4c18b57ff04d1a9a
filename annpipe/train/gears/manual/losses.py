"""How does a loss get its value and its gradient without a graph? By the kernels that torch's own passes call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

aten = torch.ops.aten
REDUCTIONS = {"mean": 1, "sum": 2}

LossByHand = Callable[[Any, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss, what the model gives, y, the share of the loss, (), and a place for the gradient of what the model gives,
times the share -> the value, ()."""


def is_torchs_own(loss: nn.Module) -> bool:
    """Whether it is a loss of torch with nothing to train: it sees nothing of the model but what that gives."""
    return type(loss).__module__ == "torch.nn.modules.loss" and not list(loss.parameters())


def loss_by_hand(loss: Any, given: torch.Tensor, y: torch.Tensor) -> LossByHand:
    """How a loss of torch's own is taken for tensors like these; most of them with a graph of their own."""
    if type(loss) is nn.CrossEntropyLoss:
        is_plain = loss.label_smoothing == 0 and y.dtype == torch.int64 and (given.dim(), y.dim()) == (2, 1)
        return _cross_entropy if is_plain and loss.reduction in REDUCTIONS else _with_graph
    is_alike = given.shape == y.shape and given.dtype == y.dtype and loss.reduction in REDUCTIONS
    return POINTWISE.get(type(loss), _with_graph) if is_alike else _with_graph


def _with_graph(
    loss: nn.Module, given: torch.Tensor, y: torch.Tensor, share: torch.Tensor, place: torch.Tensor
) -> torch.Tensor:
    with torch.enable_grad():
        leaf = given.detach().requires_grad_()
        value: torch.Tensor = loss(leaf, y)
    (grown,) = torch.autograd.grad(value, leaf, share)
    place.copy_(grown)
    return value.detach()


def _squared(
    loss: nn.MSELoss, given: torch.Tensor, y: torch.Tensor, share: torch.Tensor, place: torch.Tensor
) -> torch.Tensor:
    reduction = REDUCTIONS[loss.reduction]
    aten.mse_loss_backward.grad_input(share, given, y, reduction, grad_input=place)
    value: torch.Tensor = aten.mse_loss(given, y, reduction)
    return value


def _absolute(
    loss: nn.L1Loss, given: torch.Tensor, y: torch.Tensor, share: torch.Tensor, place: torch.Tensor
) -> torch.Tensor:
    difference = given - y
    torch.sgn(difference, out=place)
    if loss.reduction == "sum":
        place.mul_(share)
        return difference.abs_().sum()
    place.mul_(share / given.numel())
    return difference.abs_().mean()


def _smooth(
    loss: nn.SmoothL1Loss, given: torch.Tensor, y: torch.Tensor, share: torch.Tensor, place: torch.Tensor
) -> torch.Tensor:
    reduction = REDUCTIONS[loss.reduction]
    aten.smooth_l1_loss_backward.grad_input(share, given, y, reduction, loss.beta, grad_input=place)
    value: torch.Tensor = aten.smooth_l1_loss(given, y, reduction, loss.beta)
    return value


def _huber(
    loss: nn.HuberLoss, given: torch.Tensor, y: torch.Tensor, share: torch.Tensor, place: torch.Tensor
) -> torch.Tensor:
    reduction = REDUCTIONS[loss.reduction]
    aten.huber_loss_backward.out(share, given, y, reduction, loss.delta, grad_input=place)
    value: torch.Tensor = aten.huber_loss(given, y, reduction, loss.delta)
    return value


def _cross_entropy(
    loss: nn.CrossEntropyLoss, given: torch.Tensor, y: torch.Tensor, share: torch.Tensor, place: torch.Tensor
) -> torch.Tensor:
    told = loss.weight, REDUCTIONS[loss.reduction], loss.ignore_index
    logs = aten._log_softmax(given, 1, False)
    value: torch.Tensor
    value, total = aten.nll_loss_forward(logs, y, *told)
    grown = aten.nll_loss_backward(share, logs, y, *told, total)
    aten._log_softmax_backward_data.out(grown, logs, 1, given.dtype, out=place)
    return value


POINTWISE: Mapping[type[nn.Module], LossByHand] = {
    nn.MSELoss: _squared,
    nn.L1Loss: _absolute,
    nn.SmoothL1Loss: _smooth,
    nn.HuberLoss: _huber,
}
"""Losses that compare number by number."""
