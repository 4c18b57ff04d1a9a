"""The data of a run: made by its component, split, and laid out as tensors on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from annpipe.contract import Dataset, Field, Fields
from annpipe.errors import RunError
from annpipe.plan.build import instantiate
from annpipe.plan.component import Component
from annpipe.plan.plan import Plan
from annpipe.plan.rows import held_out
from annpipe.registry import Registry
from annpipe.registry.marks import mark_of
from annpipe.train.streams import drawing, generator


def make_dataset(component: Component, registry: Registry, seed: int) -> Dataset:
    """Calls the data component inside the stream `data`; floats are made in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with drawing(seed, "data"):
            dataset = instantiate(component, registry, generator=generator(seed, "data"))
    finally:
        torch.set_default_dtype(before)
    _check(component, dataset)
    return dataset  # type: ignore[no-any-return]  # _check has seen that it is a Dataset


def _check(component: Component, dataset: object) -> None:
    if not isinstance(dataset, Dataset):
        returned = type(dataset).__name__
        raise RunError(f"the data component '{component.name}' returned {returned}, not an annpipe.Dataset")
    tensors = {**dataset.inputs, **dataset.targets}
    if not dataset.inputs or not dataset.targets:
        raise RunError(f"the data component '{component.name}' gave no {'targets' if dataset.inputs else 'inputs'}")
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or tensor.ndim == 0 or len(tensor) != dataset.rows:
            raise RunError(f"the data component '{component.name}': '{name}' is not a tensor of {dataset.rows} rows")
    if dataset.rows == 0:
        raise RunError(f"the data component '{component.name}' gave no rows")


def observe_fields(component: Component, registry: Registry, seed: int) -> Fields:
    """The fields of a data component: told by its `fields`, otherwise seen on the data it makes."""
    entry = registry.find("data", component.name)
    assert entry
    mark = mark_of(registry.load(entry))
    tell = mark.traits.get("fields") if mark else None
    if tell is not None:
        fields: Fields = tell(**component.options)
        return fields
    dataset = make_dataset(component, registry, seed)
    return Fields(
        {name: _field(tensor) for name, tensor in dataset.inputs.items()},
        {name: _field(tensor) for name, tensor in dataset.targets.items()},
        dataset.rows,
    )


def _field(tensor: torch.Tensor) -> Field:
    return Field(tuple(tensor.shape[1:]), "float" if tensor.is_floating_point() else "int")


@dataclass(frozen=True)
class Rows:
    """One split as the gear sees it: `x` (rows, inputs) or (rows, …), `y` (rows, targets), (rows, …) or (rows,)."""

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Splits:
    """The dataset cut by the plan's fractions; the parts that are not asked for are None."""

    train: Dataset
    val: Dataset | None
    test: Dataset | None


def split_dataset(dataset: Dataset, plan: Plan) -> Splits:
    """Draws the held-out rows from the stream `split`; each split keeps the order of the data."""
    n_val, n_test = held_out(dataset.rows, plan.split)
    if not n_val and not n_test:
        return Splits(dataset, None, None)
    order = torch.randperm(dataset.rows, generator=generator(plan.head.seed, "split"))
    parts = torch.split(order, [n_val, n_test, dataset.rows - n_val - n_test])
    val, test, train = (_taken(dataset, part.sort().values) for part in parts)
    return Splits(train, val if n_val else None, test if n_test else None)


def _taken(dataset: Dataset, rows: torch.Tensor) -> Dataset:
    def take(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor[rows] for name, tensor in tensors.items()}

    return Dataset(take(dataset.inputs), take(dataset.targets), take(dataset.truth), dataset.class_names)


def lay_out(dataset: Dataset, device: torch.device, dtype: torch.dtype, *, classes: bool) -> Rows:
    """A split as contiguous tensors on the device; `classes` asks for int64 labels."""
    y = _labels(dataset.targets) if classes else joined(dataset.targets, dtype)
    return Rows(joined(dataset.inputs, dtype).to(device), y.to(device))


def joined(tensors: Mapping[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Columns side by side, (rows,) each -> (rows, columns); a single tensor of another shape as it is."""
    first = next(iter(tensors.values()))
    if len(tensors) == 1 and (first.ndim > 1 or not first.is_floating_point()):
        whole = first if first.ndim > 1 else first[:, None]
        return whole.to(dtype).contiguous() if whole.is_floating_point() else whole.to(torch.int64).contiguous()
    return torch.stack([tensor.to(dtype) for tensor in tensors.values()], dim=1)


def _labels(targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
    name, labels = next(iter(targets.items()))
    if labels.is_floating_point() and not torch.equal(labels, labels.round()):
        raise RunError(f"the loss takes class labels, but '{name}' has values that are not whole numbers")
    if labels.min() < 0:
        raise RunError(f"the loss takes class labels from 0, but '{name}' has {int(labels.min())}")
    return labels.to(torch.int64)


def dataset_digest(dataset: Dataset) -> str:
    """A digest over every name, shape, dtype and byte of the data, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for role, tensors in (("inputs", dataset.inputs), ("targets", dataset.targets)):
        for name, tensor in tensors.items():
            digest.update(f"{role}.{name}:{tuple(tensor.shape)}:{tensor.dtype}\n".encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:16]
