"""The losses of steps put together, of a step's terms and over an epoch, and the state of the loop that has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch


def step_losses(figures: torch.Tensor, terms: int) -> torch.Tensor:
    """Figures of steps, (…, 2K): the values of K terms and their divisors -> the losses, (…); with 0 terms they are so.

    >>> step_losses(torch.tensor([[0.5, 0.25, 8.0, 3.0]]), 2)
    tensor([0.7500])
    """
    return figures[..., :terms].sum(-1) if terms else figures


def added(tally: Sequence[float], figures: Sequence[float], sums: Sequence[bool]) -> list[float]:
    """The numerators and divisors of K terms, 2K, with those of a step that gave these figures: values and divisors."""
    count = len(sums)
    tally = tally or [0.0] * (2 * count)
    parts = zip(sums, figures[:count], figures[count:], strict=True)
    numerators = [value if is_sum else value * divisor if divisor else 0.0 for is_sum, value, divisor in parts]
    return [before + now for before, now in zip(tally, [*numerators, *figures[count:]], strict=True)]


def divided(tally: Sequence[float], sums: Sequence[bool]) -> float:
    """The loss of all rows out of numerators and divisors, 2K; nan where no row counts.

    >>> divided([6.0, 2.0, 3.0, 1.0], [False, True])
    4.0
    """
    parts = zip(sums, tally[: len(sums)], tally[len(sums) :], strict=True)
    return sum(
        numerator if is_sum else numerator / divisor if divisor else math.nan for is_sum, numerator, divisor in parts
    )


@dataclass
class Tally:
    """The losses of the steps of an epoch so far; all of it goes into a checkpoint.

    Where rows weigh the same, it is the sum of the losses times rows; else the numerators and divisors of the terms.
    """

    loss_sum: float = 0.0
    loss_rows: int = 0
    loss_terms: list[float] = field(default_factory=list)

    def take(self, loss: float, rows: int, sums: Sequence[bool], figures: Sequence[float] | None = None) -> None:
        """Takes the loss of a step that saw so many rows; `figures` has the values and divisors of its terms.

        `sums` says of each term whether it is a sum.
        """
        self.loss_rows += rows
        if figures is not None:
            self.loss_terms = added(self.loss_terms, figures, sums)
        elif all(sums):
            self.loss_terms = added(self.loss_terms, [loss, 1.0], sums)
        else:
            self.loss_sum += loss * rows

    def over_rows(self, sums: Sequence[bool]) -> float:
        """The loss over the rows that were taken in, which are forgotten; nan where there were none."""
        loss = self.so_far(sums)
        self.loss_sum, self.loss_rows, self.loss_terms = 0.0, 0, []
        return loss

    def so_far(self, sums: Sequence[bool]) -> float:
        """The loss over the rows that were taken in; nan where there were none."""
        return divided(self.loss_terms, sums) if self.loss_terms else self.loss_sum / (self.loss_rows or math.nan)


@dataclass
class LoopState(Tally):
    """The state of the loop itself; all of it goes into a checkpoint."""

    latest: dict[str, float] = field(default_factory=dict)
    best: dict[str, tuple[float, int]] = field(default_factory=dict)
    seconds: float = 0.0
    ended_by: str | None = None
    restore: str | None = None

    def note(self, key: str, value: float, epoch: int, *, higher: bool = False) -> None:
        """Takes a value as the latest, and as the best if it is."""
        self.latest[key] = value
        known = self.best.get(key)
        if math.isfinite(value) and (known is None or (value > known[0] if higher else value < known[0])):
            self.best[key] = (value, epoch)
