"""X and y of scikit-learn → columns by name and a Dataset: numbers, and words of pandas as categories."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from annpipe.contract import Dataset
from annpipe.datasets.cell_columns import Array
from annpipe.portable.cell_text import cell_text, plain
from annpipe.portable.network import cells_of

MOST_ROWS = 1_000_000  # up to which rows with whole numbers as weights are repeated
WEIGHT = "sample_weight"


@dataclass(frozen=True)
class Weighed:
    """Which rows are trained on, with repeats, (rows,), and their weights, (rows,); None where all weigh the same."""

    rows: Array
    weights: Array | None


def has_words(table: Any) -> bool:
    """Whether a DataFrame has columns that are no numbers."""
    return is_frame(table) and any(_is_of_words(table.iloc[:, n]) for n in range(table.shape[1]))


def is_frame(table: Any) -> bool:
    """Whether it is a DataFrame of pandas."""
    import pandas as pd

    return isinstance(table, pd.DataFrame)


def input_names(table: Any) -> tuple[str, ...]:
    """The names of the columns of X: those of a DataFrame, else x0, x1, …; raises ValueError for one that is twice."""
    if is_frame(table) and all(isinstance(name, str) for name in table.columns):
        names = tuple(table.columns)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"X has two columns '{twice}': rename one of them")
        return names
    return tuple(f"x{number}" for number in range(table.shape[1]))


def columns_of(table: Any, names: Sequence[str]) -> dict[str, Array]:
    """The columns of X by name, (rows,) each: float64, or cells of words as they are."""
    if not is_frame(table):
        return {name: np.asarray(table[:, number], dtype=np.float64) for number, name in enumerate(names)}
    columns = {}
    for number, name in enumerate(names):
        series = table.iloc[:, number]
        if _is_of_words(series):
            columns[name] = np.empty(len(series), dtype=object)
            columns[name][:] = cells_of(series)
        else:
            columns[name] = series.astype(object).where(series.notna(), np.nan).to_numpy(dtype=np.float64)
            if np.isinf(columns[name]).any():
                raise ValueError(f"X contains infinity in the column '{name}'")
    return columns


def _is_of_words(series: Any) -> bool:
    """Whether a column is one of categories: not of a numeric type, nor objects that are all numbers."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(series.dtype):
        return False
    return not all(isinstance(cell, numbers.Real) for cell in series.dropna().astype(object))


def dataset_of(
    columns: Mapping[str, Array],
    targets: Mapping[str, Array],
    classes: Mapping[str, Sequence[str]],
    weighed: Weighed,
    known: Mapping[str, Sequence[str]] | None = None,
) -> Dataset:
    """The rows that are trained on; words are positions among those that are `known`, -1 for another, or else among
    those of the column, in alphabetical order."""
    inputs, categories = {}, dict[str, tuple[str, ...]]()
    for name, column in columns.items():
        cells = column[weighed.rows]
        if column.dtype == object:
            inputs[name], categories[name] = _coded(cells, (known or {}).get(name))
        else:
            inputs[name] = torch.tensor(cells)
    aside = {} if weighed.weights is None else {WEIGHT: torch.tensor(weighed.weights)}
    outputs = {name: torch.tensor(column[weighed.rows]) for name, column in targets.items()}
    categories |= {name: tuple(words) for name, words in classes.items()}
    return Dataset(inputs, outputs, categories=categories, aside=aside)


def _coded(cells: Array, known: Sequence[str] | None) -> tuple[torch.Tensor, tuple[str, ...]]:
    """The positions of words, NaN where one is missing, and the words."""
    texts = [None if plain(cell) is None else cell_text(cell) for cell in cells]
    words = tuple(known or sorted({text for text in texts if text is not None}))
    position = {word: float(number) for number, word in enumerate(words)}
    codes = [np.nan if text is None else position.get(text, -1.0) for text in texts]
    return torch.tensor(codes, dtype=torch.float64), words


def weighed_rows(n_rows: int, weights: Array | None) -> Weighed:
    """How weights become rows: whole numbers repeat a row so many times, as long as these are MOST_ROWS at most; other
    weights go into the loss. A row of weight 0 is left out. Raises ValueError where no row is left."""
    if weights is None:
        return Weighed(np.arange(n_rows), None)
    there = np.flatnonzero(weights)
    if not len(there):
        raise ValueError("sample_weight is 0 for every row: there is nothing to learn from")
    kept = weights[there]
    if (kept == kept.round()).all() and kept.sum() <= MOST_ROWS:
        return Weighed(np.repeat(there, kept.astype(np.int64)), None)
    return Weighed(there, kept)


def target_names(y: Any, values: Array, inputs: Sequence[str]) -> list[str]:
    """The names of a Series or a DataFrame, else y or y0, y1, …; none of them is that of an input."""
    n_targets = 1 if values.ndim == 1 else values.shape[1]
    own_names = list(getattr(y, "columns", [getattr(y, "name", None)]))
    numbered = ["y"] if n_targets == 1 else [f"y{number}" for number in range(n_targets)]
    is_named = len(own_names) == n_targets and all(isinstance(name, str) for name in own_names)
    names = own_names if is_named else numbered
    return [f"target_{name}" if name in inputs else name for name in names]
