"""Transforms of categories: a 0/1 column for each value (one-hot), or a vector that is trained (embedding)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from annpipe import transform


@transform(name="one_hot", takes="any", fills=True)
class OneHot(torch.nn.Module):
    """A column for each value that the train split has: 1 where a row has it, else 0.

    **Shape:** (rows, columns) -> (rows, values of all columns). A missing value counts as one of its own where the
    train split has some; what the train split does not have is 0 in every column. As scikit-learn's OneHotEncoder with
    `handle_unknown="ignore"`.
    """

    values: torch.Tensor
    column: torch.Tensor
    learns_in_blocks = True

    def __init__(self) -> None:
        super().__init__()
        self._distinct_values: list[torch.Tensor] = []
        self.register_buffer("values", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("column", torch.zeros(0, dtype=torch.int64))

    def fit(self, x: torch.Tensor) -> None:
        """Learns the values of each column, in rising order, a missing one last."""
        self.partial_fit(x)
        self.finish()

    def partial_fit(self, x: torch.Tensor) -> None:
        """Learns from the next rows."""
        before = self._distinct_values or [x.new_zeros(0) for _ in x.unbind(1)]
        self._distinct_values = [_distinct(torch.cat(both)) for both in zip(before, x.unbind(1), strict=True)]

    def finish(self) -> None:
        """Ends what `partial_fit` began."""
        distinct, self._distinct_values = self._distinct_values, []
        self.values = torch.cat(distinct)
        self.column = torch.cat([torch.full((len(values),), number) for number, values in enumerate(distinct)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x[:, self.column]
        return ((wide == self.values) | (wide.isnan() & self.values.isnan())).to(x.dtype)


def _distinct(column: torch.Tensor) -> torch.Tensor:
    there: torch.Tensor = column[~column.isnan()].unique()  # type: ignore[no-untyped-call]  # torch's own
    return torch.cat([there, column.new_full((1,), torch.nan)]) if column.isnan().any() else there


@transform(name="embedding", takes="category", fills=True)
class Embedding(torch.nn.Module):
    """A vector for each category, trained with the model.

    **Shape:** (rows, columns) of positions -> (rows, sum of sizes). Missing values, and categories that the train split
    does not have, share one vector. The size of a column of n categories is min(600, 1.6 · n^0.56), rounded, unless
    given: the rule of fast.ai's tabular models.
    """

    def __init__(
        self,
        size: Annotated[int | None, Field(gt=0, description="The length of each vector; by rule if left out.")] = None,
        *,
        categories: list[int],
    ) -> None:
        super().__init__()
        self.tables = torch.nn.ModuleList(
            torch.nn.Embedding(count + 1, size or min(600, round(1.6 * count**0.56))) for count in categories
        )

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing: the vectors are trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.nan_to_num(nan=-1.0).long() + 1
        return torch.cat([table(rows[:, number]) for number, table in enumerate(self.tables)], 1)
