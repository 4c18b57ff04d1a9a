"""How do the losses of many models become one? By kernels that see all of them; else by `vmap`, or one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap

from annpipe.train.gears.manual.losses import REDUCTIONS

PLAIN_LOSSES = (
    *(nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss),
    *(nn.NLLLoss, nn.PoissonNLLLoss),
)
"""Losses that `vmap` runs as one; others are called member by member."""
POINTWISE = (
    *(nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.SoftMarginLoss),
    *(nn.PoissonNLLLoss, nn.KLDivLoss),
)
"""Losses that are a mean or sum of one number for each number."""


Share = float | torch.Tensor
"""What losses are multiplied by: a number for all of them, or (members,)."""


class StackedLosses:
    """The losses of members of one structure. `alike`: they have the same options; `leaves_out`: some label may be one
    that does not count."""

    n_terms = 0

    def __init__(self, losses: Sequence[nn.Module], alike: bool, *, leaves_out: bool = False) -> None:
        self._own: Sequence[Any] = losses
        self._every = _every_loss(losses) if alike else None
        buffers = [dict(loss.named_buffers()) for loss in losses]
        self._tensors = {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}
        self._compares_classes = alike and not leaves_out and type(losses[0]) is nn.CrossEntropyLoss

    def each(self, given: torch.Tensor, y: torch.Tensor, members: range) -> torch.Tensor:
        """What the models give and y, (members, rows, …) -> the losses, (members,), with their graph."""
        if self._every is None:
            return torch.stack([self._own[member](given[place], y[place]) for place, member in enumerate(members)])
        return self._every(self.tensors_of(members), given, y)

    def by_hand(
        self, given: torch.Tensor, y: torch.Tensor, members: range, share: Share
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The losses times `share`, (members,), and their gradient by what the models give, without a graph."""
        if self._compares_classes and _is_plain(self._own[0], given, y):
            weights, is_mean = self.tensors_of(members).get("weight"), self._own[0].reduction == "mean"
            return cross_entropy(given, y, weights, share, is_mean=is_mean)
        with torch.enable_grad():
            leaf = given.detach().requires_grad_()
            losses = self.each(leaf, y, members) * share
        (grown,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), grown

    def tensors_of(self, members: range) -> dict[str, torch.Tensor]:
        """The buffers of some members, as weights of classes, (members, …) each."""
        return {name: one[members.start : members.stop] for name, one in self._tensors.items()}


def _is_plain(loss: nn.CrossEntropyLoss, given: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether it compares one label a row with scores."""
    has_one = (loss.label_smoothing, y.dtype, given.dim(), y.dim()) == (0, torch.int64, 3, 2)
    return has_one and loss.reduction in REDUCTIONS


def cross_entropy(
    given: torch.Tensor, y: torch.Tensor, weights: torch.Tensor | None, share: Share, *, is_mean: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores, (members, rows, classes), labels, (members, rows), and weights, (members, classes) -> each member's loss
    times `share`, (members,), and its gradient by the scores, in which classes or rows lie side by side as in these.
    All labels count.

    It is torch's formula with a dimension more: `vmap` takes it apart into three dozen operations.
    """
    n_rows, lies_across = y.shape[1], given.stride(2) != 1
    scores, dim = (given.transpose(1, 2), 1) if lies_across else (given, 2)
    label = y.unsqueeze(dim)
    logs = torch.log_softmax(scores, dim)
    rows = logs.gather(dim, label).squeeze(dim).neg_()
    grown = logs.exp_().scatter_add_(dim, label, logs.new_full((), -1.0).expand(label.shape))
    if weights is None:
        scale = share / n_rows if is_mean else share
        losses = rows.sum(1).mul_(scale)
        grown.mul_(scale.view(-1, 1, 1) if isinstance(scale, torch.Tensor) else scale)
    else:
        weight = weights.gather(1, y)
        each = share.unsqueeze(1) if isinstance(share, torch.Tensor) else share
        weight = weight * (each / weight.sum(1, keepdim=True)) if is_mean else weight * each
        losses = rows.mul_(weight).sum(1)
        grown.mul_(weight.unsqueeze(dim))
    return losses, grown.transpose(1, 2) if lies_across else grown


EveryLoss = Callable[[Mapping[str, torch.Tensor], torch.Tensor, torch.Tensor], torch.Tensor]


def _every_loss(losses: Sequence[nn.Module]) -> EveryLoss | None:
    """The losses of members as one, where they are of a class that can be."""
    first: Any = losses[0]
    has_weights = bool(dict(first.named_buffers()))
    if type(first) in POINTWISE and first.reduction in ("mean", "sum") and not has_weights:
        return _pointwise_loss(first)
    return _mapped_loss(first) if type(first) in PLAIN_LOSSES else None


def _pointwise_loss(loss: Any) -> EveryLoss:
    """The mean or sum of each member's numbers."""
    each = copy.deepcopy(loss)
    each.reduction = "none"
    is_mean, otherwise = loss.reduction == "mean", _mapped_loss(loss)

    def every(tensors: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if x.shape != y.shape:
            return otherwise(tensors, x, y)
        values: torch.Tensor = each(x, y).flatten(1)
        return values.mean(1) if is_mean else values.sum(1)

    return every


def _mapped_loss(loss: nn.Module) -> EveryLoss:
    def one(tensors: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor = functional_call(loss, tensors, (x, y))
        return given

    def every(tensors: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor = vmap(one, randomness="error")(dict(tensors), x, y)
        return given

    return every if dict(loss.named_buffers()) else lambda _, x, y: vmap(lambda a, b: one({}, a, b))(x, y)
