"""The fields of a run's data: declared by the data component, or read off the dataset that it makes."""

from __future__ import annotations

import torch

from annpipe.contract import Dataset, Field, Fields
from annpipe.draft.data_only import DataDraft
from annpipe.draft.draft import supplied_aside
from annpipe.draft.sections import Draft
from annpipe.registry.discovery import function_of


def declared_fields(drafted: Draft | DataDraft) -> Fields | None:
    """The fields that the data component declares before it makes the data; None where it does not."""
    declare = function_of(drafted.data.entry, "fields")
    if declare is None:
        return None
    fields: Fields = declare(**drafted.data.options, **supplied_aside(drafted.spec.split, drafted.data))
    return fields


def fields_of(dataset: Dataset) -> Fields:
    """The fields of a dataset that was made."""
    inputs, targets = (
        {name: _field(name, tensor, dataset) for name, tensor in tensors.items()}
        for tensors in (dataset.inputs, dataset.targets)
    )
    return Fields(inputs, targets, dataset.rows)


def _field(name: str, tensor: torch.Tensor, dataset: Dataset) -> Field:
    categories = dataset.categories.get(name, ())
    shape, is_float = tuple(tensor.shape[1:]), tensor.is_floating_point()
    missing = int(tensor.isnan().sum()) if is_float else 0
    if name in dataset.targets and not is_float and categories:
        return Field(shape, "int", len(categories), "category", categories)
    return Field(
        shape, "float" if is_float else "int", None, "category" if categories else "number", categories, missing
    )
