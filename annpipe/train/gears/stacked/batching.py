"""The batches of a step of a stack, each with what the losses are multiplied by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from annpipe.plan.plan import Plan
from annpipe.train.accumulation import step_batches
from annpipe.train.gears.stacked.losses import LossScale

Divisors = Callable[[torch.Tensor], torch.Tensor]


class Batching:
    """The batches of a step of runs like this one.

    `divisors` gives those of the terms of the losses, (members, K), where they are not put together by rows.
    """

    def __init__(self, plan: Plan, *, is_sum: bool, divisors: Divisors | None) -> None:
        self._size, self._is_sum, self._divisors = plan.train.accumulated_size, is_sum, divisors

    def batches(self, x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor, LossScale]]:
        """x and y, (members, rows, …), batch after batch, each with its scale, or the divisors of the whole step."""
        if self._size is None:
            yield x, y, 1.0
            return
        whole = self._divisors(y) if self._divisors else None
        for x_batch, y_batch, scale in step_batches(x, y, self._size, dim=1, is_sum=self._is_sum):
            yield x_batch, y_batch, scale if whole is None else whole
