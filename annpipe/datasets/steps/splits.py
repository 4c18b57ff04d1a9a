"""Splits rows into train, val and test: at random, in proportion, by groups, in order, by column, files or folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from annpipe.backend.streams import generator
from annpipe.contract import Dataset
from annpipe.errors import SplitError
from annpipe.files.named import NamedFault, content, shown
from annpipe.spec.sections.models import Split

NAMES = ("train", "val", "test")
MOST_DIGITS = 18  # of the number of a row


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset; a part without rows is None."""

    train: Dataset
    val: Dataset | None
    test: Dataset | None

    @property
    def by_name(self) -> dict[str, Dataset]:
        """The parts that have rows."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def held(self) -> dict[str, Dataset]:
        """The parts that are held out, val and test, as far as they have rows."""
        return {name: part for name, part in self.by_name.items() if name != "train"}


def split_dataset(dataset: Dataset, split: Split, seed: int) -> Splits:
    """Splits the dataset; each part keeps the order of the data. Raises SplitError where rows and split do not fit."""
    rows = split_rows(dataset, split, seed)
    if not len(rows["val"]) and not len(rows["test"]):
        return Splits(dataset, None, None)
    parts = {name: _rows_at(dataset, rows[name].sort().values) if len(rows[name]) else None for name in NAMES}
    assert parts["train"]
    return Splits(parts["train"], parts["val"], parts["test"])


def split_rows(dataset: Dataset, split: Split, seed: int) -> dict[str, torch.Tensor]:
    """The positions of each part's rows, drawn from the stream `split` of the run's seed or of the split's own."""
    seed = seed if split.seed is None else split.seed
    if split.by:
        parts = _by_column(dataset, split.by)
    elif split.files:
        parts = _by_files(dataset.rows, split.files)
    else:
        parts = _drawn(dataset, split, torch.randperm(dataset.rows, generator=generator(seed, "split")))
    if not len(parts["train"]):
        option = next((name for name in ("by", "val_rows", "test_rows", "groups") if getattr(split, name)), "val")
        raise SplitError(option, f"none of the {dataset.rows} rows are left to train on", "hold out fewer")
    return parts


def _drawn(dataset: Dataset, split: Split, order: torch.Tensor) -> dict[str, torch.Tensor]:
    n_val, n_test = held_out(dataset.rows, split)
    if split.order:
        order = torch.argsort(_column(dataset, "order", split.order), stable=True).flip(0)
        test, val, train = torch.split(order, [n_test, n_val, dataset.rows - n_val - n_test])
        return {"train": train, "val": val, "test": test}
    if split.folds:
        return _fold(dataset, split, order, n_test)
    if split.groups:
        return whole_groups(_column(dataset, "groups", split.groups), order, n_val, n_test)
    if split.stratify:
        values = _column(dataset, "stratify", split.stratify)
        is_test = in_proportion(values, order, n_test)
        test, rest = order[is_test], order[~is_test]
        is_val = in_proportion(values, rest, n_val)
        val, train = rest[is_val], rest[~is_val]
    else:
        val, test, train = torch.split(order, [n_val, n_test, dataset.rows - n_val - n_test])
    return {"train": train, "val": val, "test": test}


def _column(dataset: Dataset, option: str, name: str) -> torch.Tensor:
    columns = {**dataset.inputs, **dataset.targets, **dataset.aside}
    if name not in columns:
        raise SplitError(option, f"there is no column '{name}'", f"the columns are {', '.join(columns)}")
    column = columns[name]
    if column.ndim > 1:
        raise SplitError(option, f"'{name}' has several numbers a row", "take a column of one number a row")
    lost = int(column.isnan().sum()) if column.is_floating_point() else 0
    if lost:
        raise SplitError(option, f"'{name}' is missing in {lost} rows", "leave such rows out, or take another column")
    return column


def in_proportion(values: torch.Tensor, order: torch.Tensor, n_taken: int) -> torch.Tensor:
    """A mask over `order` of exactly `n_taken` rows, with each value in proportion, rounded down or up.

    What rounding down leaves goes to the values that lost most by it (the method of the largest remainder).
    """
    _, codes, counts = values[order].unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]  # torch's own
    exact = counts.double() * n_taken / len(order)
    rounded = exact.floor().long()
    raised = torch.argsort(rounded - exact, stable=True)[: n_taken - int(rounded.sum())]
    rounded[raised] += 1
    chosen: torch.Tensor = _rank(codes, counts) < rounded[codes]
    return chosen


def _rank(codes: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """For each row, how many rows of its value stand before it."""
    rank = torch.empty_like(codes)
    by_value = torch.argsort(codes, stable=True)
    rank[by_value] = torch.arange(len(codes)) - (counts.cumsum(0) - counts)[codes[by_value]]
    return rank


def _fold(dataset: Dataset, split: Split, order: torch.Tensor, n_test: int) -> dict[str, torch.Tensor]:
    """The test first, the rest in folds whose sizes differ by one row at most; groups stay whole."""
    assert split.folds
    if split.groups:
        groups = _column(dataset, "groups", split.groups)
        parts = whole_groups(groups, order, 0, n_test)
        rest, test = parts["train"], parts["test"]
        _, codes = groups[rest].unique(return_inverse=True)  # type: ignore[no-untyped-call]  # torch's own
        n_groups = int(codes.max()) + 1
        _check_folds(n_groups, split.folds, "groups")
        rank = torch.empty(n_groups, dtype=torch.int64)  # of each group in the order drawn
        rank[list(dict.fromkeys(codes.tolist()))] = torch.arange(n_groups)
        number = rank[codes] % split.folds
    else:
        if split.stratify:
            values = _column(dataset, "stratify", split.stratify)
            is_test = in_proportion(values, order, n_test)
            test, rest = order[is_test], order[~is_test]
            rest = rest[torch.argsort(values[rest], stable=True)]
        else:
            test, rest = order[:n_test], order[n_test:]
        _check_folds(len(rest), split.folds, "rows")
        number = torch.arange(len(rest)) % split.folds
    return {"train": rest[number != split.fold], "val": rest[number == split.fold], "test": test}


def _check_folds(count: int, folds: int, what: str) -> None:
    if count < folds:
        raise SplitError("folds", f"{folds} folds of {count} {what} leave some empty", f"take at most {count}")


def whole_groups(values: torch.Tensor, order: torch.Tensor, n_val: int, n_test: int) -> dict[str, torch.Tensor]:
    """Groups in the order drawn; each goes to test, then to val, while that brings it nearer to its number of rows."""
    _, codes, counts = values.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]  # torch's own
    if len(counts) < 1 + (n_val > 0) + (n_test > 0):
        message = f"there are only {len(counts)} groups, and each part needs one"
        raise SplitError("groups", message, "hold out fewer parts, or take a column of more values")
    part_of_group = torch.full((len(counts),), 0)
    sizes = counts.tolist()
    waiting = list(dict.fromkeys(codes[order].tolist()))
    for number, n_wanted in ((2, n_test), (1, n_val)):
        n_taken, left = 0, []
        for group in waiting:
            nearer = abs(n_taken + sizes[group] - n_wanted) < abs(n_taken - n_wanted)
            if n_wanted and (nearer or not n_taken):
                part_of_group[group] = number
                n_taken += sizes[group]
            else:
                left.append(group)
        waiting = left
    parts = part_of_group[codes[order]]
    return {name: order[parts == number] for number, name in enumerate(NAMES)}


def _by_column(dataset: Dataset, name: str) -> dict[str, torch.Tensor]:
    column = _column(dataset, "by", name)
    words = dataset.categories.get(name, ())
    other = [word for word in words if word.casefold() not in NAMES]
    if other or not words:
        value = f"'{other[0]}'" if other else "numbers"
        raise SplitError("by", f"'{name}' has {value}", "its values must be train, val and test")
    part_of = torch.tensor([NAMES.index(word.casefold()) for word in words])[column.long()]
    return {part: (part_of == number).nonzero()[:, 0] for number, part in enumerate(NAMES)}


def _by_files(rows: int, files: Mapping[str, str]) -> dict[str, torch.Tensor]:
    part_of = torch.zeros(rows, dtype=torch.int64)
    for part, file in files.items():
        chosen = torch.tensor(_numbers(part, file, rows))
        repeated = chosen[part_of[chosen] > 0]
        if len(repeated):
            raise SplitError("test_rows", f"row {int(repeated[0])} is in both files", "remove it from one of them")
        part_of[chosen] = NAMES.index(part)
    return {name: (part_of == number).nonzero()[:, 0] for number, name in enumerate(NAMES)}


def _numbers(part: str, file: str, rows: int) -> list[int]:
    option = f"{part}_rows"
    try:
        lines = content(file, bound="split file").decode().split()
    except NamedFault as refused:
        raise SplitError(option, refused.message, refused.help) from refused
    except UnicodeDecodeError as error:
        raise SplitError(
            option, f"{shown(file)} is not UTF-8 text", "write the number of a row on each line"
        ) from error
    numbers = []
    for number, line in enumerate(lines, start=1):
        if not line.isdecimal() or len(line) > MOST_DIGITS or int(line) >= rows:
            fault = f"number {number} of {shown(file)} is {shown(line)}"
            raise SplitError(option, fault, f"rows are numbered from 0 to {rows - 1}")
        numbers.append(int(line))
    if not numbers:
        raise SplitError(option, f"'{file}' names no row", "write the number of a row on each line")
    return list(dict.fromkeys(numbers))


def _rows_at(dataset: Dataset, rows: torch.Tensor) -> Dataset:
    def take(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor[rows] for name, tensor in tensors.items()}

    return Dataset(
        take(dataset.inputs), take(dataset.targets), take(dataset.truth), dataset.categories, take(dataset.aside)
    )


def held_out(rows: int, split: Split) -> tuple[int, int]:
    """The number of rows of val and of test; with folds, val is the fold of this run."""
    n_test = round(rows * split.test)
    if not split.folds:
        return round(rows * split.val), n_test
    whole, more = divmod(rows - n_test, split.folds)
    return whole + (split.fold < more), n_test
