"""When a callback acts again: at the first look after each multiple of a number of epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Interval:
    """True at the first look in each stretch of `epochs` epochs; `last` is the epoch of the last such look, 0 for none.

    >>> interval = Interval(4)
    >>> [epoch for epoch in (3, 6, 9, 12) if interval.is_due(epoch)]
    [6, 9, 12]
    """

    epochs: int
    last: int = 0

    def is_due(self, epoch: int) -> bool:
        """Whether a multiple of `epochs` was passed since `last`; if so, `last` becomes this epoch."""
        due = epoch // self.epochs > self.last // self.epochs
        if due:
            self.last = epoch
        return due
