"""The losses of many models as one: by kernels for all of them where there are some, else by `vmap`, or one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap

from annpipe.backend.torch_classes import facts_of
from annpipe.train.gears.manual.losses import LossScale as LossScale
from annpipe.train.gears.manual.losses import compares_labels_by_row, stacked_cross_entropy


class StackedLosses:
    """The losses of members of one structure. `alike`: they have the same options; `leaves_out`: some label may be one
    that does not count."""

    n_terms = 0

    def __init__(self, losses: Sequence[nn.Module], alike: bool, *, leaves_out: bool = False) -> None:
        self._members: Sequence[Any] = losses
        self._batched = _batched_loss(losses) if alike else None
        buffers = [dict(loss.named_buffers()) for loss in losses]
        self._tensors = {name: torch.stack([tensors[name] for tensors in buffers]) for name in buffers[0]}
        self._compares_classes = alike and not leaves_out and type(losses[0]) is nn.CrossEntropyLoss

    def losses(self, outputs: torch.Tensor, y: torch.Tensor, members: range) -> torch.Tensor:
        """The models' outputs and y, (members, rows, …) -> the losses, (members,), with their graph."""
        if self._batched is None:
            rows = [self._members[member](outputs[i], y[i]) for i, member in enumerate(members)]
            return torch.stack(rows)
        return self._batched(self.tensors_of(members), outputs, y)

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor, members: range, scale: LossScale
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The losses times `scale`, (members,), and their gradient by the models' outputs, without a graph."""
        if self._compares_classes and compares_labels_by_row(self._members[0], outputs, y, 3):
            weights, is_mean = self.tensors_of(members).get("weight"), self._members[0].reduction == "mean"
            return stacked_cross_entropy(outputs, y, weights, scale, is_mean=is_mean)
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            losses = self.losses(leaf, y, members) * scale
        (grad,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), grad

    def tensors_of(self, members: range) -> dict[str, torch.Tensor]:
        """The buffers of some members, as weights of classes, (members, …) each."""
        return {name: tensor[members.start : members.stop] for name, tensor in self._tensors.items()}


BatchedLoss = Callable[[Mapping[str, torch.Tensor], torch.Tensor, torch.Tensor], torch.Tensor]
"""Buffers, (members, …) each, outputs and y, (members, rows, …) -> the losses, (members,)."""


def _batched_loss(losses: Sequence[nn.Module]) -> BatchedLoss | None:
    """The losses of members as one, where they are of a class that can be."""
    first: Any = losses[0]
    facts, has_weights = facts_of(first), bool(dict(first.named_buffers()))
    if facts.is_pointwise and first.reduction in ("mean", "sum") and not has_weights:
        return _pointwise_loss(first)
    return _mapped_loss(first) if facts.is_batched else None


def _pointwise_loss(loss: Any) -> BatchedLoss:
    """The mean or sum of each member's numbers."""
    unreduced = copy.deepcopy(loss)
    unreduced.reduction = "none"
    is_mean, otherwise = loss.reduction == "mean", _mapped_loss(loss)

    def batched(tensors: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if x.shape != y.shape:
            return otherwise(tensors, x, y)
        values: torch.Tensor = unreduced(x, y).flatten(1)
        return values.mean(1) if is_mean else values.sum(1)

    return batched


def _mapped_loss(loss: nn.Module) -> BatchedLoss:
    def of_member(tensors: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = functional_call(loss, tensors, (x, y))
        return value

    def batched(tensors: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = vmap(of_member, randomness="error")(dict(tensors), x, y)
        return values

    return batched if dict(loss.named_buffers()) else lambda _, x, y: vmap(lambda a, b: of_member({}, a, b))(x, y)
