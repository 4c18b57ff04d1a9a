"""What happens to the gradients of a stack: they are gathered over a step's batches, then clipped, a member each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from annpipe.plan.plan import Plan
from annpipe.spec.sections.models import Train
from annpipe.train.divisors import accumulates
from annpipe.train.gears.stacked.losses import Share

Divisors = Callable[[torch.Tensor], torch.Tensor]


class Batching:
    """The batches of a step of runs like this one; a mean over all rows is their means, weighted by their rows.

    `divisors` gives those of the terms of the losses, (members, K), where they are not put together by rows.
    """

    def __init__(self, plan: Plan, *, is_sum: bool, divisors: Divisors | None) -> None:
        size = plan.train.batch_size
        self._size = size if accumulates(plan) and size != "all" else None
        self._is_sum, self._divisors = is_sum, divisors

    def batches(self, x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, Share]]:
        """x and y, (members, rows, …), by and by, each with its share of the loss, or the divisors of all of it."""
        if self._size is None:
            yield x, y, 1.0
            return
        n_rows = x.shape[1]
        whole = self._divisors(y) if self._divisors else None
        for start in range(0, n_rows, self._size):
            stop = min(start + self._size, n_rows)
            share = whole if whole is not None else 1.0 if self._is_sum else (stop - start) / n_rows
            yield x[:, start:stop], y[:, start:stop], share


class Clipping:
    """The limits of each member, as torch's `clip_grad_value_` and then `clip_grad_norm_` keep them."""

    def __init__(self, trains: Sequence[Train]) -> None:
        self._value = _column([train.clip_value for train in trains])
        self._norm = _column([train.clip_norm for train in trains])

    def clip(self, gradients: Sequence[torch.Tensor]) -> None:
        """Clips the gradients, (members, numbers) a group, in their place."""
        if self._value is not None:
            limit = self._value.to(gradients[0])
            for gradient in gradients:
                torch.clamp(gradient, -limit, limit, out=gradient)
        if self._norm is not None:
            limit = self._norm.to(gradients[0])
            norms = torch.stack([torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients])
            total = torch.linalg.vector_norm(norms, dim=0).unsqueeze(1)
            share = torch.clamp(limit / (total + 1e-6), max=1.0)
            share = torch.where(limit.isinf(), 1.0, share)  # no limit at all, whatever the norm
            for gradient in gradients:
                gradient.mul_(share)


def _column(limits: Sequence[float | None]) -> torch.Tensor | None:
    """(members, 1) in double precision, infinity where a member has no limit; None where none has one."""
    if all(limit is None for limit in limits):
        return None
    return torch.tensor([[math.inf if limit is None else limit] for limit in limits], dtype=torch.float64)
