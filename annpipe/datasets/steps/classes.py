"""The classes of a target: their names, and how many rows each has."""

from __future__ import annotations

import torch

from annpipe.contract import Dataset


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
