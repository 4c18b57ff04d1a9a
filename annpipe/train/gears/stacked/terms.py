"""The losses of many models where batches are not put together by their rows: by terms, each with its own divisor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import vmap

from annpipe.plan.plan import Plan
from annpipe.train.divisors import (
    Terms,
    compares_labels,
    counted_weight,
    leaves_labels_out,
    terms_by_divisor,
    undivided,
)
from annpipe.train.gears.stacked.losses import LossScale, StackedLosses
from annpipe.train.parts import Parts
from annpipe.train.schedule import schedule


class StackedTerms:
    """As `StackedLosses`, with K terms for each member.

    A loss of labels alone is taken for all members at once, where these have the same options; others one by one.
    """

    def __init__(self, losses: Sequence[nn.Module], alike: bool, *, leaves_out: bool) -> None:
        self._members = [Terms(loss) for loss in losses]
        self.n_terms = len(self._members[0])
        self._first: Any = losses[0] if alike and self._members[0].is_alone and compares_labels(losses[0]) else None
        if self._first is not None:
            self._divided = StackedLosses(losses, alike, leaves_out=leaves_out)
            self._summed = StackedLosses([undivided(loss) for loss in losses], alike, leaves_out=leaves_out)

    def losses(self, outputs: torch.Tensor, y: torch.Tensor, members: range) -> torch.Tensor:
        """The models' outputs and y, (members, rows, …) -> values, with their graph, and divisors, (members, 2K)."""
        return torch.cat([self._values(outputs, y, members), self.divisors(y, members)], 1)

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor, members: range, scale: LossScale
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The values of the terms, (members, K), and the gradient of their sum by the models' outputs.

        `scale` is 1, or the divisors of the whole step, (members, K), to which the rows then add their numerators.
        """
        is_part = isinstance(scale, torch.Tensor)
        if self._first is not None:
            part = scale.reciprocal()[:, 0] if isinstance(scale, torch.Tensor) else scale
            values, grad = (self._summed if is_part else self._divided).with_gradient(outputs, y, members, part)
            return values.unsqueeze(1), grad
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            values = self._values(leaf, y, members, is_part=is_part)
            values = values / scale if is_part else values
        (grad,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach(), grad

    def divisors(self, y: torch.Tensor, members: range) -> torch.Tensor:
        """y, (members, rows, …) -> (members, K)."""
        if self._first is None or y.is_floating_point():
            return torch.stack([self._members[member].divisors(y[i]) for i, member in enumerate(members)])
        weight, ignored = self._divided.tensors_of(members).get("weight"), self._first.ignore_index
        if weight is None:
            counted = vmap(lambda labels: counted_weight(None, ignored, labels))(y)
        else:
            counted = vmap(lambda weights, labels: counted_weight(weights, ignored, labels))(weight, y)
        return (counted if counted.is_floating_point() else counted.to(torch.get_default_dtype())).unsqueeze(1)

    def _values(self, outputs: torch.Tensor, y: torch.Tensor, members: range, *, is_part: bool = False) -> torch.Tensor:
        """(members, K), with their graph; of a part numerators."""
        if self._first is not None and not is_part:
            return self._divided.losses(outputs, y, members).unsqueeze(1)
        rows = [(self._members[member], outputs[i], y[i]) for i, member in enumerate(members)]
        return torch.stack([terms.numerators(*row) if is_part else terms.values(*row) for terms, *row in rows])


def stacked_losses(plans: Sequence[Plan], parts: Sequence[Parts], *, alike: bool) -> StackedLosses | StackedTerms:
    """The losses of members; by terms where batches of one of them are not put together by their rows."""
    losses = [member.loss for member in parts]
    leaves_out = any(leaves_labels_out(member.loss, member.rows["train"].y) for member in parts)
    pairs = zip(plans, parts, strict=True)
    member_terms = (terms_by_divisor(plan, member, schedule(plan, len(member.rows["train"]))) for plan, member in pairs)
    if any(terms is not None for terms in member_terms):
        return StackedTerms(losses, alike, leaves_out=leaves_out)
    return StackedLosses(losses, alike, leaves_out=leaves_out)
