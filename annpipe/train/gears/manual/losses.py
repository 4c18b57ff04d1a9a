"""Values and gradients of losses without autograd, by the kernels that torch's own passes call.

Cross entropy is there twice: for one run by torch's kernels, whose bits are torch's, and for many as one formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

aten = torch.ops.aten
REDUCTIONS = {"mean": 1, "sum": 2}

LossScale = float | torch.Tensor
"""What the losses of members are multiplied by: a number for all of them, or (members,)."""
ManualLoss = Callable[[Any, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss, the outputs of the model, y, the scale of the loss, (), and where the gradient of the outputs, times the
scale, is written -> the value, ()."""


def is_torchs_own(loss: nn.Module) -> bool:
    """Whether it is a loss of torch with nothing to train: it uses nothing of the model but its outputs."""
    return type(loss).__module__ == "torch.nn.modules.loss" and not list(loss.parameters())


def compares_labels_by_row(loss: Any, outputs: torch.Tensor, y: torch.Tensor, n_dims: int) -> bool:
    """Whether cross entropy compares one label a row with scores, (…, rows, classes) of so many dimensions."""
    is_plain = loss.label_smoothing == 0 and y.dtype == torch.int64 and loss.reduction in REDUCTIONS
    return is_plain and (outputs.dim(), y.dim()) == (n_dims, n_dims - 1)


def manual_loss(loss: Any, outputs: torch.Tensor, y: torch.Tensor) -> ManualLoss:
    """How a loss of torch's own is computed for tensors like these; most of them with a graph of their own."""
    if type(loss) is nn.CrossEntropyLoss:
        return _cross_entropy if compares_labels_by_row(loss, outputs, y, 2) else _with_graph
    is_alike = outputs.shape == y.shape and outputs.dtype == y.dtype and loss.reduction in REDUCTIONS
    return MANUAL_LOSSES.get(type(loss), _with_graph) if is_alike else _with_graph


def _with_graph(
    loss: nn.Module, outputs: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        value: torch.Tensor = loss(leaf, y)
    (grad,) = torch.autograd.grad(value, leaf, scale)
    out.copy_(grad)
    return value.detach()


def _squared(
    loss: nn.MSELoss, outputs: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    reduction = REDUCTIONS[loss.reduction]
    aten.mse_loss_backward.grad_input(scale, outputs, y, reduction, grad_input=out)
    value: torch.Tensor = aten.mse_loss(outputs, y, reduction)
    return value


def _absolute(
    loss: nn.L1Loss, outputs: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    difference = outputs - y
    torch.sgn(difference, out=out)
    if loss.reduction == "sum":
        out.mul_(scale)
        return difference.abs_().sum()
    out.mul_(scale / outputs.numel())
    return difference.abs_().mean()


def _smooth(
    loss: nn.SmoothL1Loss, outputs: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    reduction = REDUCTIONS[loss.reduction]
    aten.smooth_l1_loss_backward.grad_input(scale, outputs, y, reduction, loss.beta, grad_input=out)
    value: torch.Tensor = aten.smooth_l1_loss(outputs, y, reduction, loss.beta)
    return value


def _huber(
    loss: nn.HuberLoss, outputs: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    reduction = REDUCTIONS[loss.reduction]
    aten.huber_loss_backward.out(scale, outputs, y, reduction, loss.delta, grad_input=out)
    value: torch.Tensor = aten.huber_loss(outputs, y, reduction, loss.delta)
    return value


def _cross_entropy(
    loss: nn.CrossEntropyLoss, outputs: torch.Tensor, y: torch.Tensor, scale: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    options = loss.weight, REDUCTIONS[loss.reduction], loss.ignore_index
    logs = aten._log_softmax(outputs, 1, False)
    value: torch.Tensor
    value, total = aten.nll_loss_forward(logs, y, *options)
    grad = aten.nll_loss_backward(scale, logs, y, *options, total)
    aten._log_softmax_backward_data.out(grad, logs, 1, outputs.dtype, out=out)
    return value


MANUAL_LOSSES: Mapping[type[nn.Module], ManualLoss] = {
    nn.MSELoss: _squared,
    nn.L1Loss: _absolute,
    nn.SmoothL1Loss: _smooth,
    nn.HuberLoss: _huber,
}
"""Losses that compare number by number."""


def stacked_cross_entropy(
    outputs: torch.Tensor, y: torch.Tensor, weights: torch.Tensor | None, scale: LossScale, *, is_mean: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores, (members, rows, classes), labels, (members, rows), and weights, (members, classes) -> each member's loss
    times `scale`, (members,), and its gradient by the scores, in which classes or rows lie side by side as in these.
    All labels count.

    It is torch's formula with a dimension more: `vmap` takes it apart into three dozen operations.
    """
    n_rows, is_transposed = y.shape[1], outputs.stride(2) != 1
    scores, dim = (outputs.transpose(1, 2), 1) if is_transposed else (outputs, 2)
    label = y.unsqueeze(dim)
    logs = torch.log_softmax(scores, dim)
    rows = logs.gather(dim, label).squeeze(dim).neg_()
    grad = logs.exp_().scatter_add_(dim, label, logs.new_full((), -1.0).expand(label.shape))
    if weights is None:
        factor = scale / n_rows if is_mean else scale
        losses = rows.sum(1).mul_(factor)
        grad.mul_(factor.view(-1, 1, 1) if isinstance(factor, torch.Tensor) else factor)
    else:
        weight = weights.gather(1, y)
        factor = scale.unsqueeze(1) if isinstance(scale, torch.Tensor) else scale
        weight = weight * (factor / weight.sum(1, keepdim=True)) if is_mean else weight * factor
        losses = rows.mul_(weight).sum(1)
        grad.mul_(weight.unsqueeze(dim))
    return losses, grad.transpose(1, 2) if is_transposed else grad
