"""The categories of a run, which are those of its train split, and the classes of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from annpipe.contract import Dataset, Fields
from annpipe.datasets.steps.splits import Splits


def known_categories(splits: Splits, fields: Fields) -> Splits:
    """The splits with the categories that the train split has: a row of another one has -1, as the unseen has later."""
    train = splits.train
    names = [name for name, field in fields.inputs.items() if field.type == "category" and name in train.categories]
    if not names:
        return splits
    kept = {name: new_positions(present(train.inputs[name], len(train.categories[name]))) for name in names}
    parts = {name: recoded(part, kept) for name, part in splits.by_name.items()}
    return Splits(parts["train"], parts.get("val"), parts.get("test"))


def present(codes: torch.Tensor, n_categories: int) -> torch.Tensor:
    """(rows,) positions, NaN where missing -> (categories,) whether a row has each."""
    has = torch.zeros(n_categories, dtype=torch.bool)
    has[codes[~codes.isnan()].long()] = True
    return has


def new_positions(has: torch.Tensor) -> torch.Tensor:
    """The position of each category among those that are there, -1 for the others."""
    return torch.where(has, has.cumsum(0) - 1, -1)


def recoded(part: Dataset, kept: Mapping[str, torch.Tensor]) -> Dataset:
    """The rows with the new positions of their categories."""
    inputs, categories = dict(part.inputs), dict(part.categories)
    for name, positions in kept.items():
        if not len(positions):  # the column is missing in all rows
            continue
        codes = inputs[name]
        new = positions[codes.nan_to_num(nan=0.0).long()].to(codes.dtype)
        inputs[name] = torch.where(codes.isnan(), codes, new)
        categories[name] = tuple(word for word, at in zip(categories[name], positions, strict=True) if at >= 0)
    return replace(part, inputs=inputs, categories=categories)


def n_categories(train: Dataset, names: Sequence[str], fields: Fields) -> list[int]:
    """How many categories each column has, 0 where it holds numbers; a boolean has names too, and stays 0 and 1."""
    coded = [fields.inputs[name].type == "category" for name in names]
    return [len(train.categories.get(name, ())) if is_coded else 0 for name, is_coded in zip(names, coded, strict=True)]


def class_names(dataset: Dataset, target: str) -> tuple[str, ...]:
    """The classes of a target by number, as words; none where it holds numbers. 0 and 1 are classes too."""
    values = dataset.targets[target]
    if values.ndim > 1:
        return ()
    if target in dataset.categories:
        return dataset.categories[target]
    if values.is_floating_point():
        return ("0", "1") if bool(((values == 0) | (values == 1)).all()) else ()
    n_classes = int(values.max()) + 1
    return tuple(map(str, range(n_classes))) if n_classes <= max(dataset.rows, 2) else ()


def class_counts(labels: torch.Tensor, n_classes: int) -> torch.Tensor:
    """(rows,) labels -> (classes,) how many rows each has; a negative label is of no class."""
    return torch.bincount(labels[labels >= 0].long(), minlength=n_classes)
