"""The rows that a figure shows: the run's splits, their columns as numbers, and a sample where there are many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axis import Axis

from annpipe import Dataset, RunView
from annpipe_std.plots.style import CLASS_COLOURS, SHORT, Doubles, Indices, shown

JITTER = 0.3
MOST_NAMED = 20
"""Classes that have a name each on an axis; of more every second, or every third is named."""
MOST_LABELS = 1000
"""Labels from 0 that are taken for classes where they have no names."""


def splits(view: RunView) -> dict[str, Dataset]:
    """The splits that have rows, by name."""
    named = {view.rows: view.train, "val": view.val, "test": view.test}
    return {name: split for name, split in named.items() if split is not None and split.rows}


def held_out(view: RunView) -> tuple[str, Dataset] | None:
    """The split on which scores are shown: the test rows, else the validation rows, else all; None without rows."""
    return next(reversed(splits(view).items()), None)


def numbers(columns: Mapping[str, torch.Tensor]) -> dict[str, Doubles]:
    """The columns that hold one number a row."""
    return {name: column(tensor) for name, tensor in columns.items() if tensor.ndim == 1}


def column(tensor: torch.Tensor) -> Doubles:
    """(rows,) or (rows, 1) as doubles."""
    flat = tensor if tensor.ndim == 1 else tensor.flatten(1)[:, 0]
    values: Doubles = flat.detach().to("cpu").to(torch.float64).numpy()
    return values


def sample(rows: int, limit: int) -> Indices:
    """All rows, or `limit` of them chosen at random but always the same, in their order."""
    if rows <= limit:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, size=max(1, limit), replace=False))


def shared_out(view: RunView, limit: int) -> Iterator[tuple[str, Dataset, Indices]]:
    """Each split with rows, and those of them to draw: up to `limit` in all, shared out by the splits' sizes."""
    total = sum(split.rows for split in splits(view).values())
    for name, split in splits(view).items():
        few = max(1, limit * split.rows // total) if total > limit else split.rows
        yield name, split, sample(split.rows, few)


def outputs(view: RunView, split: Dataset, chosen: Indices) -> Mapping[str, torch.Tensor]:
    """What the model makes of some rows of a split, by target."""
    return view.predict({name: values[chosen] for name, values in split.inputs.items()})


def rows_label(name: str, drawn: int, rows: int) -> str:
    """`train, 700 rows`, or how many of them are drawn."""
    of = f"{drawn:,} of {rows:,} rows" if drawn < rows else f"{rows:,} row{'s' * (rows != 1)}"
    return f"{name}, {of}"


def is_discrete(values: Doubles) -> bool:
    """Whether the values are a few whole numbers, as classes and truth values are."""
    different = np.unique(values[np.isfinite(values)])
    return 0 < len(different) <= len(CLASS_COLOURS) and bool((different == np.round(different)).all())


def zeros_and_ones(values: torch.Tensor) -> bool:
    """Whether there are no other values."""
    return bool(((values == 0) | (values == 1)).all())


def words_of(view: RunView, name: str) -> tuple[str, ...]:
    """What the values 0, 1, … of a column of classes or categories are called; empty for numbers.

    Labels without names, and targets of 0 and 1, are called by their numbers.
    """
    if words := view.train.categories.get(name):
        return words
    target = view.train.targets.get(name)
    if target is None or target.ndim != 1 or not len(target):
        return ()
    if target.is_floating_point():
        return ("0", "1") if zeros_and_ones(target) and target.min() < target.max() else ()
    return tuple(map(str, range(int(target.max()) + 1))) if int(target.max()) < MOST_LABELS else ()


def spread(view: RunView, columns: Sequence[str], values: Sequence[Doubles]) -> list[Doubles]:
    """The positions of rows by two columns: classes apart by chance, always the same, numbers as they are."""
    drawn = np.random.default_rng(0).uniform(-JITTER, JITTER, (len(columns), len(values[0])))
    return [
        column + shift if words_of(view, name) else column
        for name, column, shift in zip(columns, values, drawn, strict=True)
    ]


def name_ticks(axis: Axis, words: Sequence[str]) -> None:
    """Classes by their names on an axis, one at each whole number; an axis of numbers stays as it is."""
    if not words:
        return
    step = -(-len(words) // MOST_NAMED)
    axis.set_ticks(range(0, len(words), step), [shown(word, SHORT) for word in words[::step]])
    limits = -0.6, len(words) - 0.4
    _ = axis.axes.set_xlim(*limits) if axis is axis.axes.xaxis else axis.axes.set_ylim(*limits)
