"""The losses of many models where batches are not put together by their rows: by terms, each with its own divisor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import vmap

from annpipe.plan.plan import Plan
from annpipe.train.divisors import Terms, compares_labels, counted_weight, leaves_labels_out, own_terms, undivided
from annpipe.train.gears.stacked.losses import Share, StackedLosses
from annpipe.train.parts import Parts
from annpipe.train.schedule import schedule


class StackedTerms:
    """As `StackedLosses`, with K terms for each member.

    A loss of labels alone is taken for all members at once, where these have the same options; others one by one.
    """

    def __init__(self, losses: Sequence[nn.Module], alike: bool, *, leaves_out: bool) -> None:
        self._own = [Terms(loss) for loss in losses]
        self.n_terms = len(self._own[0])
        self._first: Any = losses[0] if alike and self._own[0].is_alone and compares_labels(losses[0]) else None
        if self._first is not None:
            self._divided = StackedLosses(losses, alike, leaves_out=leaves_out)
            self._summed = StackedLosses([undivided(one) for one in losses], alike, leaves_out=leaves_out)

    def each(self, given: torch.Tensor, y: torch.Tensor, members: range) -> torch.Tensor:
        """What the models give and y, (members, rows, …) -> values, with their graph, and divisors, (members, 2K)."""
        return torch.cat([self._values(given, y, members), self.divisors(y, members)], 1)

    def by_hand(
        self, given: torch.Tensor, y: torch.Tensor, members: range, share: Share
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The values of the terms, (members, K), and the gradient of their sum by what the models give.

        `share` is 1, or the divisors of the whole step, (members, K), to which the rows then add their numerators.
        """
        is_part = isinstance(share, torch.Tensor)
        if self._first is not None:
            part = share.reciprocal()[:, 0] if isinstance(share, torch.Tensor) else share
            values, grown = (self._summed if is_part else self._divided).by_hand(given, y, members, part)
            return values.unsqueeze(1), grown
        with torch.enable_grad():
            leaf = given.detach().requires_grad_()
            values = self._values(leaf, y, members, is_part=is_part)
            values = values / share if is_part else values
        (grown,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach(), grown

    def divisors(self, y: torch.Tensor, members: range) -> torch.Tensor:
        """y, (members, rows, …) -> (members, K)."""
        if self._first is None or y.is_floating_point():
            return torch.stack([self._own[member].divisors(y[place]) for place, member in enumerate(members)])
        weight, ignored = self._divided.tensors_of(members).get("weight"), self._first.ignore_index
        if weight is None:
            found = vmap(lambda one: counted_weight(None, ignored, one))(y)
        else:
            found = vmap(lambda own, one: counted_weight(own, ignored, one))(weight, y)
        return (found if found.is_floating_point() else found.to(torch.get_default_dtype())).unsqueeze(1)

    def _values(self, given: torch.Tensor, y: torch.Tensor, members: range, *, is_part: bool = False) -> torch.Tensor:
        """(members, K), with their graph; of a part numerators."""
        if self._first is not None and not is_part:
            return self._divided.each(given, y, members).unsqueeze(1)
        rows = [(self._own[member], given[place], y[place]) for place, member in enumerate(members)]
        return torch.stack([own.numerators(*row) if is_part else own.values(*row) for own, *row in rows])


def stacked_losses(plans: Sequence[Plan], parts: Sequence[Parts], *, alike: bool) -> StackedLosses | StackedTerms:
    """The losses of members; by terms where batches of one of them are not put together by their rows."""
    losses = [one.loss for one in parts]
    leaves_out = any(leaves_labels_out(one.loss, one.rows["train"].y) for one in parts)
    wanted = (own_terms(*one, schedule(one[0], len(one[1].rows["train"]))) for one in zip(plans, parts, strict=True))
    if any(terms is not None for terms in wanted):
        return StackedTerms(losses, alike, leaves_out=leaves_out)
    return StackedLosses(losses, alike, leaves_out=leaves_out)
