"""Partial dependence and ICE: what a model answers when one column has the same value in every row.

For each value of a grid every row gets it in that column and keeps its others. The answers of one row over the grid are
its ICE curve (individual conditional expectation; Goldstein et al., 2015), their mean over the rows is the partial
dependence (Friedman, 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from annpipe.errors import DataError
from annpipe.inspection.subject import ModelSubject, check_column

QUANTILES = (0.05, 0.95)  # between which the grid of a column of numbers lies
MOST_ANSWERS = 50_000_000  # numbers kept: 400 MB


@dataclass(frozen=True)
class Dependence:
    """The answers of the rows at each value of a column's grid.

    `grid` is (values,), positions in `words` for a column of categories; `curves` has for each answer (rows, values).
    """

    column: str
    grid: torch.Tensor
    words: tuple[str, ...]
    curves: dict[str, torch.Tensor]

    @property
    def mean(self) -> dict[str, torch.Tensor]:
        """The partial dependence of each answer, (values,)."""
        return {name: curve.mean(0) for name, curve in self.curves.items()}

    @property
    def labels(self) -> list[str]:
        """The values of the grid in words."""
        return [_label(value, self.words) for value in self.grid.tolist()]


def _label(value: float, words: tuple[str, ...]) -> str:
    if not words:
        return f"{value:.6g}"
    return words[int(value)] if 0 <= value < len(words) else "(not in train)"


def dependence(subject: ModelSubject, column: str, points: int = 100) -> Dependence:
    """How the answers depend on one column, by the rows of the subject.

    Raises DataError where there is no such column, where it is an array, and where the answers are arrays.
    """
    check_column(subject, column)
    values = subject.inputs[column]
    if values.ndim > 1:
        message = f"'{column}' has rows of the shape {tuple(values.shape[1:])}"
        raise DataError(message, "partial dependence is of a column of single numbers or categories")
    words = subject.dataset.categories.get(column, ())
    grid = grid_of(column, values, points, is_category=bool(words))
    answers = []
    for value in grid:
        answers.append(subject.answers({**subject.inputs, column: torch.full_like(values, value.item())}))
        if len(grid) * len(values) * len(answers[0]) > MOST_ANSWERS:
            message = f"{len(values):,} rows at {len(grid)} values give more numbers than are kept"
            raise DataError(message, "take fewer of them: `--rows`, `--grid`")
    return Dependence(column, grid, words, {name: torch.stack([a[name] for a in answers], 1) for name in answers[0]})


def grid_of(column: str, values: torch.Tensor, points: int, *, is_category: bool) -> torch.Tensor:
    """The values that a column gets: each that it has, or of more than `points` numbers so many at equal distances.

    These lie between its 5 % and its 95 % quantile, as scikit-learn's do. Missing values are none of them. Whole
    numbers stay whole. Raises DataError where the quantiles are equal, and where no value is there.
    """
    there = values.double()[~values.isnan()] if values.is_floating_point() else values.double()
    unique = _unique(there)
    if not len(unique):
        raise DataError(f"each value of '{column}' is missing", "there is nothing to depend on")
    if is_category or len(unique) < points:
        return unique
    low, high = (_quantile(there.sort().values, level) for level in QUANTILES)
    if torch.allclose(low, high):
        message = f"the 5 % and the 95 % quantile of '{column}' are equal, {low.item():.6g}"
        raise DataError(message, "nine tenths of its values are the same: there is no range to go through")
    grid = torch.linspace(low.item(), high.item(), points, dtype=torch.float64)
    return grid if values.is_floating_point() else _unique(grid.round())


def _unique(values: torch.Tensor) -> torch.Tensor:
    unique: torch.Tensor = values.unique()  # type: ignore[no-untyped-call]  # torch's own
    return unique


def _quantile(ordered: torch.Tensor, level: float) -> torch.Tensor:
    """The quantile of ordered values, with Cunnane's plotting positions (0.4), as SciPy's `mquantiles` has them."""
    n = len(ordered)
    position = n * level + 0.4 + level * 0.2
    below = min(max(int(position), 1), n - 1)
    fraction = min(max(position - below, 0.0), 1.0)
    return (1 - fraction) * ordered[below - 1] + fraction * ordered[below]
