"""Digests of a dataset: of its inputs and targets, and of what it has beside them."""

from __future__ import annotations

import hashlib
import json

import torch

from annpipe.contract import ChunkedDataset, Dataset


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
