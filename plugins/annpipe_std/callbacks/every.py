"""Is it time again? Looks need not fall on the multiples of a number of epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Every:
    """The first look in each stretch of so many epochs; `last` is the epoch at which it was time, 0 for never.

    >>> every = Every(4)
    >>> [epoch for epoch in (3, 6, 9, 12) if every.is_due(epoch)]
    [6, 9, 12]
    """

    epochs: int
    last: int = 0

    def is_due(self, epoch: int) -> bool:
        """Whether a multiple of `epochs` lies behind the last time; if so, this epoch becomes the last time."""
        due = epoch // self.epochs > self.last // self.epochs
        if due:
            self.last = epoch
        return due
