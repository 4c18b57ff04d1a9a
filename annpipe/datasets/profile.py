"""Dataset + splits → Profile: what was read, column by column, for `annpipe data` to show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from annpipe.contract import Dataset
from annpipe.datasets.leaks import class_counts, class_names
from annpipe.datasets.splits import Splits

FEW = 10  # rows that may all be different by chance
BOOLEAN = (("false", "true"), ("no", "yes"))


@dataclass(frozen=True)
class Column:
    """One named tensor of the data.

    `shape` is that of a row, `()` for a single number. `distinct` counts different values that are not missing; it is
    None for rows of several numbers. `mean`, `deviation` (of a sample: divided by n - 1), `least` and `greatest` are
    those of numbers that are there, None where there are none. `frequent` are the values of categories and classes
    with how many rows have each, the most frequent first. `is_key` tells that every row has another whole number or
    word, as a row's number or name is.
    """

    name: str
    role: str
    type: str
    shape: tuple[int, ...]
    missing: int
    distinct: int | None = None
    least: float | None = None
    mean: float | None = None
    deviation: float | None = None
    greatest: float | None = None
    frequent: tuple[tuple[str, int], ...] = ()
    is_key: bool = False


@dataclass(frozen=True)
class Profile:
    """What the data are: `rows` by split, `columns`, `classes` of each target by split, and the `first` rows by column.

    `classes` gives for a target that has some each class by name, and for each split how many of its rows have it.
    """

    rows: Mapping[str, int]
    columns: tuple[Column, ...]
    classes: Mapping[str, Mapping[str, Mapping[str, int]]]
    first: Mapping[str, tuple[object, ...]]

    @property
    def total(self) -> int:
        """The number of rows of all splits."""
        return sum(self.rows.values())


def profile(dataset: Dataset, splits: Splits, n_first: int) -> Profile:
    """The profile of a dataset and of its parts, with the values of its first `n_first` rows in words."""
    parts = splits.by_name
    classes = {name: _balance(dataset, name, parts) for name in dataset.targets if class_names(dataset, name)}
    return Profile(
        {name: part.rows for name, part in parts.items()},
        tuple(_column(name, role, tensor, dataset) for name, role, tensor in _every(dataset)),
        classes,
        {name: _first(tensor[:n_first], dataset.categories.get(name, ())) for name, _, tensor in _every(dataset)},
    )


def _every(dataset: Dataset) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Every tensor once with its name and role: targets, inputs, and what is kept aside for the split."""
    for role, tensors in (("target", dataset.targets), ("input", dataset.inputs), ("aside", dataset.aside)):
        yield from ((name, role, tensor) for name, tensor in tensors.items())


def _balance(dataset: Dataset, target: str, parts: Mapping[str, Dataset]) -> dict[str, dict[str, int]]:
    words = class_names(dataset, target)
    counts = {part: class_counts(rows.targets[target], len(words)).tolist() for part, rows in parts.items()}
    return {word: {part: counts[part][number] for part in parts} for number, word in enumerate(words)}


def _column(name: str, role: str, tensor: torch.Tensor, dataset: Dataset) -> Column:
    lost = tensor.isnan()
    words = dataset.categories.get(name, ())
    column = Column(name, role, _type(role, tensor, words), tuple(tensor.shape[1:]), int(lost.sum()))
    there = tensor[~lost]
    if tensor.ndim > 1:
        return _with_range(column, there)
    values, counts = there.unique(return_counts=True)  # type: ignore[no-untyped-call]  # torch's own
    is_key = len(values) == len(tensor) >= FEW and bool((values == values.round()).all())
    column = replace(column, distinct=len(values), is_key=is_key)
    if column.type in ("number", "tokens"):
        return _with_range(column, there)
    order = torch.argsort(counts, descending=True, stable=True).tolist()
    return replace(column, frequent=tuple((str(said(float(values[n]), words)), int(counts[n])) for n in order))


def _type(role: str, tensor: torch.Tensor, words: Sequence[str]) -> str:
    if tensor.ndim > 1:
        return "numbers" if tensor.is_floating_point() else "classes" if role == "target" else "tokens"
    if words:
        return "boolean" if tuple(words) in BOOLEAN else "category"
    return "number" if tensor.is_floating_point() else "class" if role == "target" else "tokens"


def _with_range(column: Column, there: torch.Tensor) -> Column:
    """The column with its range, mean and deviation, of the values that are there."""
    if not there.numel():
        return column
    there = there.double()
    deviation = float(there.std()) if there.numel() > 1 else None
    return replace(
        column, least=float(there.min()), mean=float(there.mean()), deviation=deviation, greatest=float(there.max())
    )


def _first(tensor: torch.Tensor, words: Sequence[str]) -> tuple[object, ...]:
    """Values in words, numbers as they are; of rows of several numbers nothing can be shown in brief."""
    return () if tensor.ndim > 1 else tuple(said(float(value), words) for value in tensor)


def said(value: float, words: Sequence[str]) -> str | float | None:
    """A value in the units of the data: the word that it stands for, a number, or None where it is missing."""
    if value != value:
        return None
    if words:
        return words[int(value)] if 0 <= value < len(words) else None
    return int(value) if value == int(value) and abs(value) < 2**53 else value
