"""Calls the data component of a run, checks what it returns, and digests it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.backend.protocols import fault_of, in_words
from annpipe.backend.streams import drawing, generator
from annpipe.contract import ChunkedDataset, Dataset
from annpipe.draft.component import Component
from annpipe.errors import RunError
from annpipe.errors.wording import article
from annpipe.registry.discovery import PluginFault


def make_data(component: Component, seed: int, aside: Sequence[str] = ()) -> Dataset | ChunkedDataset:
    """The data of a component, drawn from the stream `data`; floats are made in double precision.

    `aside` are columns for the split, for a component that can keep some aside.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with drawing(seed, "data"):
            data: object = instantiate(component, generator=generator(seed, "data"), aside=tuple(aside))
    finally:
        torch.set_default_dtype(before)
    if isinstance(data, ChunkedDataset):
        _check_chunked(component, data)
        return data
    return _checked(component, data)


def make_dataset(component: Component, seed: int, aside: Sequence[str] = ()) -> Dataset:
    """As `make_data`, for callers that need rows in memory; of chunked data only the first chunk."""
    data = make_data(component, seed, aside)
    return data.head() if isinstance(data, ChunkedDataset) else data


def _check_chunked(component: Component, data: ChunkedDataset) -> None:
    if not data.fields.inputs or not data.fields.targets or not data.fields.rows:
        raise RunError(f"the data component '{component.name}' gave chunks without inputs, targets or rows")
    fields = {**data.fields.inputs, **data.fields.targets}
    wide = next((name for name, field in fields.items() if field.stands_alone), None)
    if wide is not None:
        raise RunError(f"the data component '{component.name}' gave chunks in which '{wide}' is not one number a row")


def _checked(component: Component, dataset: object) -> Dataset:
    if not isinstance(dataset, Dataset):
        message = f"{in_words(component)} returns {article(type(dataset).__name__)}, and no annpipe.Dataset"
        raise PluginFault(fault_of(component, message, "end it with `return Dataset({…}, {…})`: inputs and targets"))
    tensors = {**dataset.inputs, **dataset.targets}
    if not dataset.inputs or not dataset.targets:
        raise RunError(f"the data component '{component.name}' gave no {'targets' if dataset.inputs else 'inputs'}")
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or tensor.ndim == 0 or len(tensor) != dataset.rows:
            raise RunError(f"the data component '{component.name}': '{name}' is not a tensor of {dataset.rows} rows")
    if dataset.rows == 0:
        raise RunError(f"the data component '{component.name}' gave no rows")
    return dataset


def dataset_digest(dataset: Dataset | ChunkedDataset) -> str:
    """A digest over every name, shape, dtype and byte of the data, 16 hex digits; chunked data have their own."""
    if isinstance(dataset, ChunkedDataset):
        return dataset.digest
    digest = hashlib.sha256()
    for role, tensors in (("inputs", dataset.inputs), ("targets", dataset.targets)):
        for name, tensor in tensors.items():
            digest.update(f"{role}.{name}:{tuple(tensor.shape)}:{tensor.dtype}\n".encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def beside_digest(dataset: Dataset | ChunkedDataset) -> str:
    """A digest over what a dataset has beside inputs and targets, 16 hexadecimal digits; "" where it has nothing.

    These are the columns kept aside for the split, the names of categories, and the noiseless targets.
    """
    if isinstance(dataset, ChunkedDataset):  # their own digest covers all but the names of categories
        fields = {**dataset.fields.inputs, **dataset.fields.targets}
        categories = {name: field.categories for name, field in fields.items() if field.categories}
        tensors: dict[str, torch.Tensor] = {}
    else:
        categories = dict(dataset.categories)
        tensors = {f"aside.{name}": tensor for name, tensor in dataset.aside.items()}
        tensors |= {f"truth.{name}": tensor for name, tensor in dataset.truth.items()}
    if not categories and not tensors:
        return ""
    digest = hashlib.sha256(json.dumps(categories).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:16]
