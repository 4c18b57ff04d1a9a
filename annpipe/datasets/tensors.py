"""The data of a run: made by its component, and laid out as tensors on the device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.backend.instantiate import instantiate
from annpipe.backend.streams import drawing, generator
from annpipe.contract import Blocks, Dataset
from annpipe.draft.component import Component
from annpipe.errors import RunError
from annpipe.portable.columns import Targets


def make_data(component: Component, seed: int, aside: Sequence[str] = ()) -> Dataset | Blocks:
    """Calls the data component inside the stream `data`; floats are made in double precision.

    `aside` are columns for the split, for a component that can lay some aside.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with drawing(seed, "data"):
            dataset = instantiate(component, generator=generator(seed, "data"), aside=tuple(aside))
    finally:
        torch.set_default_dtype(before)
    if isinstance(dataset, Blocks):
        _check_blocks(component, dataset)
    else:
        _check(component, dataset)
    return dataset  # type: ignore[no-any-return]  # it was seen what it is


def make_dataset(component: Component, seed: int, aside: Sequence[str] = ()) -> Dataset:
    """The same for whoever needs rows at hand; of data in blocks only the first block."""
    made = make_data(component, seed, aside)
    return made.head() if isinstance(made, Blocks) else made


def _check_blocks(component: Component, blocks: Blocks) -> None:
    if not blocks.fields.inputs or not blocks.fields.targets or not blocks.fields.rows:
        raise RunError(f"the data component '{component.name}' gave blocks without inputs, targets or rows")
    every = {**blocks.fields.inputs, **blocks.fields.targets}
    wide = next((name for name, field in every.items() if field.shape), None)
    if wide is not None:
        raise RunError(f"the data component '{component.name}' gave blocks in which '{wide}' is not one number a row")


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


EXACT = 2**24  # up to which float32 holds every whole number


@dataclass(frozen=True)
class Transformed:
    """The transforms that are applied once: `columns` to raw inputs, `targets` to targets; None where there is none."""

    columns: torch.nn.Module | None = None
    targets: Targets | None = None

    def features(self, inputs: Mapping[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
        """Inputs by name, (rows, …) each -> what the model takes, (rows, features) or (rows, …)."""
        if self.columns is None:
            return joined(inputs, dtype)
        with torch.no_grad():
            features: torch.Tensor = self.columns(joined(inputs, torch.float64))
        return features.to(dtype)


@dataclass(frozen=True)
class Rows:
    """One split as the gear sees it: `x` (rows, inputs) or (rows, …), `y` (rows, targets), (rows, …) or (rows,).

    `raw` is `y` in the units of the data, where transforms make it another.
    """

    x: torch.Tensor
    y: torch.Tensor
    raw: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def device(self) -> torch.device:
        return self.x.device

    @property
    def dtype(self) -> torch.dtype:
        """That of x."""
        return self.x.dtype

    def blocks(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """x and y in the order of the rows, so many at a time."""
        yield from zip(torch.split(self.x, size), torch.split(self.y, size), strict=True)


def lay_out(
    dataset: Dataset,
    device: torch.device,
    dtype: torch.dtype,
    *,
    classes: bool,
    columns: Transformed | None = None,
    labels: Sequence[str] = (),
) -> Rows:
    """A split as contiguous tensors on the device, transformed; `classes` asks for int64 labels.

    `labels` are targets of several that are labels; they stand beside the others as the numbers that they are.
    """
    for name in labels:
        _labels({name: dataset.targets[name]})
    columns = columns or Transformed()
    x = columns.features(dataset.inputs, dtype)
    if classes:
        return Rows(x.to(device), _labels(dataset.targets).to(device))
    y = joined(dataset.targets, torch.float64)
    raw = y if y.is_floating_point() else y.double()
    if columns.targets is None:
        return Rows(x.to(device), raw.to(device, dtype))
    return Rows(x.to(device), columns.targets(raw).to(device, dtype), raw.to(device))


def joined(tensors: Mapping[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Columns side by side, (rows, …) each -> (rows, numbers); a single tensor of another shape as it is.

    Raises RunError for whole numbers that the dtype cannot tell from their neighbours.
    """
    first = next(iter(tensors.values()))
    if len(tensors) == 1 and (first.ndim > 1 or not first.is_floating_point()):
        whole = first if first.ndim > 1 else first[:, None]
        return whole.to(dtype).contiguous() if whole.is_floating_point() else whole.to(torch.int64).contiguous()
    for name, tensor in tensors.items():
        if dtype == torch.float32 and not tensor.is_floating_point() and int(tensor.abs().max()) > EXACT:
            raise RunError(f"'{name}' has whole numbers above {EXACT:,}: they need `device: {{precision: float64}}`")
    return torch.cat([tensor.reshape(len(tensor), -1).to(dtype) for tensor in tensors.values()], dim=1)


def _labels(targets: Mapping[str, torch.Tensor]) -> torch.Tensor:
    name, labels = next(iter(targets.items()))
    if labels.is_floating_point() and not torch.equal(labels, labels.round()):
        raise RunError(f"the loss takes class labels, but '{name}' has values that are not whole numbers")
    if labels.min() < 0:
        message = f"the loss takes class labels from 0, but '{name}' has {int(labels.min())}"
        help_ = "leave such rows out, or give them a number above the classes and name it by the loss's `ignore_index`"
        raise RunError(f"{message}; {help_}")
    return labels.to(torch.int64)


def dataset_digest(dataset: Dataset | Blocks) -> str:
    """A digest over every name, shape, dtype and byte of the data, 16 hexadecimal digits; blocks tell their own."""
    if isinstance(dataset, Blocks):
        return dataset.digest
    digest = hashlib.sha256()
    for role, tensors in (("inputs", dataset.inputs), ("targets", dataset.targets)):
        for name, tensor in tensors.items():
            digest.update(f"{role}.{name}:{tuple(tensor.shape)}:{tensor.dtype}\n".encode())
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def beside_digest(dataset: Dataset | Blocks) -> str:
    """A digest over what a dataset has beside inputs and targets, 16 hexadecimal digits; "" where it has nothing.

    That is the columns laid aside for the split, what the values of categories stand for, and the noiseless targets.
    """
    if isinstance(dataset, Blocks):  # their own digest is of all that they were made of, but for words
        words = {**dataset.fields.inputs, **dataset.fields.targets}
        categories = {name: field.categories for name, field in words.items() if field.categories}
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
