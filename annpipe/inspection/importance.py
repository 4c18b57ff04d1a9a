"""Permutation importance: how much worse a model gets when the values of one raw column are shuffled among the rows.

A column is shuffled as the data has it, before any transform, so that all features made of it, as the numbers of a
category, change together. The rows keep everything else (Breiman, 2001; Fisher, Rudin and Dominici, 2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.statistics import Spread, spread

RawColumns = Mapping[str, torch.Tensor]
Score = Callable[[RawColumns], float]
"""From inputs by name, (rows, …) each, to one number that judges the model's answers for them."""


@dataclass(frozen=True)
class ColumnImportance:
    """What the score loses by each shuffle of a column; positive: the model needs the column."""

    column: str
    values: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        """Mean and standard deviation over the shuffles, and half the 95 % interval of the mean."""
        return spread(self.values)


def draw_orders(rows: int, repeats: int, generator: torch.Generator) -> torch.Tensor:
    """Random orders of the rows, **Shape:** (repeats, rows)."""
    return torch.stack([torch.randperm(rows, generator=generator) for _ in range(repeats)])


def permutation_importance(
    score: Score,
    inputs: RawColumns,
    orders: torch.Tensor,
    *,
    higher_is_better: bool = False,
    columns: Sequence[str] | None = None,
) -> tuple[ColumnImportance, ...]:
    """The importance of each column, the largest mean first; `columns` are those to look at, None for all.

    Every column is shuffled into the same `orders`, (repeats, rows). The score is asked for
    1 + columns * repeats times, which is all that this costs.
    """
    before = score(inputs)
    sign = 1 if higher_is_better else -1
    importances = [
        ColumnImportance(name, tuple(sign * (before - score(_shuffled(inputs, name, order))) for order in orders))
        for name in (inputs if columns is None else columns)
    ]
    return tuple(sorted(importances, key=_by_mean))


def _shuffled(inputs: RawColumns, name: str, order: torch.Tensor) -> RawColumns:
    return {**inputs, name: inputs[name][order]}


def _by_mean(importance: ColumnImportance) -> tuple[bool, float]:
    """The largest first, and what is not finite last."""
    mean = importance.spread.mean
    return math.isnan(mean), -mean
