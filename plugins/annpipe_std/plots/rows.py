"""The rows that a figure shows: the run's splits, their columns as numbers, and a sample where there are many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from annpipe import Dataset, RunView
from annpipe_std.plots.style import CLASS_COLOURS, Doubles, Indices


def splits(view: RunView) -> dict[str, Dataset]:
    """The splits that have rows, by name."""
    named = {view.rows: view.train, "val": view.val, "test": view.test}
    return {name: split for name, split in named.items() if split is not None and split.rows}


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
    different = np.unique(values)
    return len(different) <= len(CLASS_COLOURS) and bool((different == np.round(different)).all())
