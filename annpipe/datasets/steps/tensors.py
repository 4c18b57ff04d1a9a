"""A split as tensors on the device: columns joined to a matrix, transformed, in the run's precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.contract import Dataset
from annpipe.errors import RunError
from annpipe.portable.columns import Targets

EXACT = 2**24  # up to which float32 holds every whole number


@dataclass(frozen=True)
class Transformed:
    """The transforms that are applied once, before training: `columns` to inputs, `targets` to targets; None: none."""

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
    """One split as it is trained on: `x` (rows, inputs) or (rows, …), `y` (rows, targets), (rows, …) or (rows,).

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
        """The dtype of x."""
        return self.x.dtype

    def iter_chunks(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """x and y in the order of the rows, `size` rows at a time."""
        yield from zip(torch.split(self.x, size), torch.split(self.y, size), strict=True)


def to_tensors(
    dataset: Dataset,
    device: torch.device,
    dtype: torch.dtype,
    *,
    classes: bool,
    columns: Transformed | None = None,
    labels: Sequence[str] = (),
) -> Rows:
    """A split as contiguous tensors on the device, transformed; `classes` asks for int64 labels.

    `labels` names the targets that are class labels among several; they become columns of numbers like the others.
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
    """Columns side by side, (rows, …) each -> (rows, numbers); a single tensor of another shape stays as it is.

    Raises RunError for whole numbers that the dtype cannot represent exactly.
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
