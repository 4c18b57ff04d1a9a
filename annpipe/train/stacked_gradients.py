"""What happens to the gradients of a stack: they are gathered over a step's batches, then clipped, a member each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from annpipe.plan.losses import leaves
from annpipe.plan.plan import Plan
from annpipe.spec.sections import Train


class Batching:
    """The batches of a step of runs like this one; a mean over all rows is their means, weighted by their rows."""

    def __init__(self, plan: Plan) -> None:
        size = plan.train.batch_size
        self._size = None if plan.train.accumulate == 1 or size == "all" else size
        self._is_sum = all(leaf.options.get("reduction") == "sum" for leaf in leaves(plan.loss))

    def batches(self, x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
        """x and y, (members, rows, …), by and by, each with its share of the loss."""
        if self._size is None:
            yield x, y, 1.0
            return
        n_rows = x.shape[1]
        for start in range(0, n_rows, self._size):
            stop = min(start + self._size, n_rows)
            yield x[:, start:stop], y[:, start:stop], 1.0 if self._is_sum else (stop - start) / n_rows


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
