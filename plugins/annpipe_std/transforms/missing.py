"""The transform `impute`: fills in missing values."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import OptionError, transform


@transform(name="impute", takes="any", gives="same", fills=True)
class Impute(torch.nn.Module):
    """Fills in missing values with a statistic of the train split.

    **Shape:** (rows, columns) -> (rows, columns), or twice as many with `indicator`: 1 where a value was missing.
    Of several values that are most frequent the least is taken. Categories have no mean.
    """

    fill: torch.Tensor

    def __init__(
        self,
        strategy: Annotated[
            Literal["mean", "median", "most_frequent", "constant"],
            Field(description="What stands for a missing value; constant takes `value`."),
        ] = "mean",
        value: Annotated[float | None, Field(description="The constant.")] = None,
        indicator: Annotated[
            bool, Field(description="Whether to add a column that tells where values were missing.")
        ] = False,
        *,
        categories: list[int],
    ) -> None:
        super().__init__()
        if (strategy == "constant") != (value is not None):
            fault = "missing" if strategy == "constant" else f"for `strategy: constant`, not for {strategy}"
            raise OptionError("value", f"is {fault}", help="as in `impute: {strategy: constant, value: 0}`")
        if any(categories) and (strategy != "most_frequent" or indicator):
            message = "categories cannot have an indicator" if indicator else f"categories have no {strategy}"
            raise OptionError(
                "indicator" if indicator else "strategy",
                message,
                help="take most_frequent; one_hot and embedding accept missing values",
            )
        self.strategy, self.value, self.indicator = strategy, value, indicator
        self.learns_in_blocks = strategy != "median"  # a median needs all values at once
        self._sums: tuple[torch.Tensor, torch.Tensor] | None = None
        self._counted: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.register_buffer("fill", torch.zeros(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        """Learns what each column is filled with; raises ValueError where it has no value."""
        if self.value is not None:
            self.fill = torch.full((x.shape[1],), self.value, dtype=x.dtype)
            return
        self._check_any(bool(x.isnan().all(0).any()))
        self.fill = torch.stack([self._statistic(column[~column.isnan()]) for column in x.unbind(1)])

    def partial_fit(self, x: torch.Tensor) -> None:
        """Learns from the next rows: sums for a mean, how often there is each value for the most frequent one."""
        if self.strategy == "most_frequent":
            counted = [_counts(column[~column.isnan()]) for column in x.unbind(1)]
            pairs = zip(self._counted, counted, strict=True)
            self._counted = [_added(*pair) for pair in pairs] if self._counted else counted
            return
        total, count = self._sums or (torch.zeros_like(x[0]), torch.zeros_like(x[0]))
        self._sums = total + x.nansum(0), count + (~x.isnan()).sum(0)

    def finish(self) -> None:
        """Ends what `partial_fit` began."""
        if self.strategy == "most_frequent":
            self._check_any(any(len(values) == 0 for values, _ in self._counted))
            self.fill = torch.stack([values[counts.argmax()] for values, counts in self._counted])
            self._counted = []
            return
        assert self._sums is not None
        total, count = self._sums
        self._sums = None
        if self.value is not None:
            self.fill = torch.full_like(total, self.value)
            return
        self._check_any(bool((count == 0).any()))
        self.fill = total / count

    def _check_any(self, is_empty: bool) -> None:
        if is_empty:
            raise ValueError(f"a column has no value in the train split, so it has no {self.strategy}")

    def _statistic(self, values: torch.Tensor) -> torch.Tensor:
        if self.strategy == "mean":
            return values.mean()
        if self.strategy == "median":
            ordered = values.sort().values
            return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        distinct, counts = _counts(values)
        most: torch.Tensor = distinct[counts.argmax()]
        return most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lost = x.isnan()
        filled = torch.where(lost, self.fill.to(x.dtype), x)
        return torch.cat([filled, lost.to(x.dtype)], 1) if self.indicator else filled


def _counts(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The different values in rising order, and how often there is each."""
    distinct, counts = values.unique(return_counts=True)  # type: ignore[no-untyped-call]  # torch's own
    return distinct, counts


def _added(
    first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The counts of both together."""
    distinct, codes = torch.cat([first[0], second[0]]).unique(return_inverse=True)  # type: ignore[no-untyped-call]  # torch's own
    counts = torch.zeros(len(distinct), dtype=torch.int64)
    return distinct, counts.index_add(0, codes, torch.cat([first[1], second[1]]))
