"""Dataset + splits → Profile: statistics of each column, as `annpipe data` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from annpipe.contract import Dataset, Fields
from annpipe.datasets.steps.categories import class_counts, class_names
from annpipe.datasets.steps.splits import Splits
from annpipe.portable.cell_dates import date_text

FEW = 10  # rows that may all be different by chance
BOOLEAN = (("false", "true"), ("no", "yes"))


@dataclass(frozen=True)
class Column:
    """One named tensor of the data.

    `shape` is that of a row, `()` for a single number. `distinct` counts different values that are not missing; it is
    None for rows of several numbers. `mean`, `deviation` (of a sample: divided by n - 1), `least` and `greatest` are
    those of the numbers that are not missing, None where all are. `frequent` has the values of categories and classes
    with their numbers of rows, the most frequent first. `is_key` tells that all rows have different whole numbers or
    words, as row numbers and names do.
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
    """The data described: `rows` by split, `columns`, `classes` of each target by split, the `first` rows by column.

    `classes` has for each target of classes, and each class by name, its number of rows in each split.
    """

    rows: Mapping[str, int]
    columns: tuple[Column, ...]
    classes: Mapping[str, Mapping[str, Mapping[str, int]]]
    first: Mapping[str, tuple[object, ...]]

    @property
    def total(self) -> int:
        """The number of rows of all splits."""
        return sum(self.rows.values())


def profile(dataset: Dataset, splits: Splits, n_first: int, fields: Fields | None = None) -> Profile:
    """The profile of a dataset and of its parts, with the values of its first `n_first` rows in words.

    `fields` tell which columns are dates and texts, where they are known.
    """
    types = {name: field.type for name, field in fields.inputs.items()} if fields else {}
    parts = splits.by_name
    classes = {name: _balance(dataset, name, parts) for name in dataset.targets if class_names(dataset, name)}
    return Profile(
        {name: part.rows for name, part in parts.items()},
        tuple(_typed(_column(*named, dataset), types.get(named[0])) for named in _tensors(dataset)),
        classes,
        {
            name: _first(tensor[:n_first], dataset.categories.get(name, ()), is_date=types.get(name) == "date")
            for name, _, tensor in _tensors(dataset)
        },
    )


def _tensors(dataset: Dataset) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Name, role and tensor of targets, inputs, and the columns kept aside for the split."""
    for role, tensors in (("target", dataset.targets), ("input", dataset.inputs), ("aside", dataset.aside)):
        yield from ((name, role, tensor) for name, tensor in tensors.items())


def _typed(column: Column, type_: str | None) -> Column:
    """The column with a type that only its field tells; a date is not a key where all rows have different ones."""
    return replace(column, type=type_, is_key=False) if type_ in ("date", "text") else column


def _balance(dataset: Dataset, target: str, parts: Mapping[str, Dataset]) -> dict[str, dict[str, int]]:
    words = class_names(dataset, target)
    counts = {part: class_counts(rows.targets[target], len(words)).tolist() for part, rows in parts.items()}
    return {word: {part: counts[part][number] for part in parts} for number, word in enumerate(words)}


def _column(name: str, role: str, tensor: torch.Tensor, dataset: Dataset) -> Column:
    lost = tensor.isnan()
    words = dataset.categories.get(name, ())
    column = Column(name, role, _type(role, tensor, words), tuple(tensor.shape[1:]), int(lost.sum()))
    values = tensor[~lost]
    if tensor.ndim > 1:
        return _with_range(column, values)
    distinct, counts = values.unique(return_counts=True)  # type: ignore[no-untyped-call]  # torch's own
    is_key = len(distinct) == len(tensor) >= FEW and bool((distinct == distinct.round()).all())
    column = replace(column, distinct=len(distinct), is_key=is_key)
    if column.type in ("number", "tokens"):
        return _with_range(column, values)
    order = torch.argsort(counts, descending=True, stable=True).tolist()
    return replace(column, frequent=tuple((str(in_words(float(distinct[n]), words)), int(counts[n])) for n in order))


def _type(role: str, tensor: torch.Tensor, words: Sequence[str]) -> str:
    if tensor.ndim > 1:
        return "numbers" if tensor.is_floating_point() else "classes" if role == "target" else "tokens"
    if words:
        return "boolean" if tuple(words) in BOOLEAN else "category"
    return "number" if tensor.is_floating_point() else "class" if role == "target" else "tokens"


def _with_range(column: Column, values: torch.Tensor) -> Column:
    """The column with the range, mean and deviation of its values."""
    if not values.numel():
        return column
    values = values.double()
    deviation = float(values.std()) if values.numel() > 1 else None
    return replace(
        column, least=float(values.min()), mean=float(values.mean()), deviation=deviation, greatest=float(values.max())
    )


def _first(tensor: torch.Tensor, words: Sequence[str], *, is_date: bool) -> tuple[object, ...]:
    """Categories and dates as words, numbers as they are; empty for rows of several numbers, which are not shown."""
    if is_date:
        return tuple(date_text(value) if value == value else None for value in tensor.tolist())
    return () if tensor.ndim > 1 else tuple(in_words(float(value), words) for value in tensor)


def in_words(value: float, words: Sequence[str]) -> str | float | None:
    """A value in the units of the data: the name of its category, a number, or None where it is missing."""
    if value != value:
        return None
    if words:
        return words[int(value)] if 0 <= value < len(words) else None
    return int(value) if value == int(value) and abs(value) < 2**53 else value
