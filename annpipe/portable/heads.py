"""Stacks for several inputs of a model, heads for several outputs, and their loss; copied beside saved models.

Inputs arrive side by side in one matrix, and outputs leave so: a batch is one tensor, whatever the model has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

Spans = Sequence[Sequence[int]]


class Inputs(torch.nn.Module):
    """Stacks by name, each for its own columns, whose outputs are joined.

    `spans` has for each stack the spans of its columns in the input, `shapes` the shape of a row as it takes them,
    `whole` whether they are whole numbers, as tokens are. `concat` joins the outputs of the stacks along the channels
    of images, else along the last dimension. Raises ValueError where shapes cannot be joined.
    """

    def __init__(
        self,
        names: Sequence[str],
        branches: Sequence[torch.nn.Module],
        join: str,
        *,
        columns: Sequence[Sequence[str]] = (),
        spans: Sequence[Spans],
        shapes: Sequence[Sequence[int]],
        whole: Sequence[bool],
        output_shapes: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.columns = columns  # their names, for readers of the printed model
        self.join, self.spans, self.shapes, self.whole = join, spans, shapes, whole
        self.dim = _dimension(output_shapes, join)
        self.stacks = list[str]()
        self.stacks += _add(self, names, branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """**Shape:** (rows, numbers of all columns) -> (rows, …)."""
        parts = zip(self.spans, self.shapes, self.whole, strict=True)
        outputs = [getattr(self, name)(piece(x, *part)) for name, part in zip(self.stacks, parts, strict=True)]
        if self.join == "concat":
            return torch.cat(outputs, self.dim)
        joined: torch.Tensor = outputs[0]
        for value in outputs[1:]:
            joined = joined + value if self.join == "add" else joined * value
        return joined

    def extra_repr(self) -> str:
        stacks = zip(self.stacks, self.columns, strict=False)
        return ", ".join([*(f"{name}: {' '.join(columns)}" for name, columns in stacks), self.join])


def piece(x: torch.Tensor, spans: Spans, shape: Sequence[int], whole: bool) -> torch.Tensor:
    """Some columns of a matrix in the shape that a stack takes, as int64 where they are whole numbers."""
    x = x.flatten(1)
    parts = [x[:, start:stop] for start, stop in spans]
    part = (parts[0] if len(parts) == 1 else torch.cat(parts, 1)).reshape(x.shape[0], *shape)
    return part.long() if whole else part


def _add(module: torch.nn.Module, names: Sequence[str], stacks: Sequence[torch.nn.Module]) -> list[str]:
    """Adds the stacks as submodules; returns their attribute names, without dots and different from torch's."""
    keys = []
    for name, stack in zip(names, stacks, strict=True):
        key = name.replace(".", "_") or "_"
        while hasattr(module, key):
            key += "_"
        module.add_module(key, stack)
        keys.append(key)
    return keys


def _dimension(shapes: Sequence[Sequence[int]], join: str) -> int:
    """Where rows of these shapes are joined: the channels of images, else the last dimension."""
    rows = [tuple(shape) for shape in shapes]
    outputs = f"its stacks give {' and '.join(map(_row, rows))}"
    if join != "concat":
        if len(set(rows)) > 1:
            raise ValueError(f"{outputs}; `join: {join}` needs one shape")
        return 0
    dim = 1 if len(rows[0]) == 3 else len(rows[0])
    if len({(*row[: dim - 1], None, *row[dim:]) for row in rows}) > 1:
        raise ValueError(f"{outputs}, which cannot be joined along dimension {dim}")
    return dim


def _row(shape: Sequence[int]) -> str:
    return f"(rows, {', '.join(map(str, shape))})" if shape else "(rows,)"


class Outputs(torch.nn.Module):
    """Heads by name for the same input, whose outputs are placed side by side, one head after another."""

    def __init__(self, names: Sequence[str], branches: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.heads = list[str]()
        self.heads += _add(self, names, branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """**Shape:** (rows, …) -> (rows, numbers of all heads)."""
        return torch.cat([getattr(self, name)(x) for name in self.heads], 1)


class HeadLosses(torch.nn.Module):
    """The weighted sum of a loss for each head.

    `spans` has for each head the span of its outputs in the prediction; the target of head n is column n, a class label
    where `labels` says so.
    """

    def __init__(
        self,
        losses: Mapping[str, torch.nn.Module],
        weights: Mapping[str, float],
        *,
        spans: Mapping[str, Sequence[int]],
        labels: Mapping[str, bool],
    ) -> None:
        super().__init__()
        self.names = list(losses)
        self.weights, self.spans, self.labels = dict(weights), dict(spans), dict(labels)
        self.keys = list[str]()
        self.keys += _add(self, self.names, list(losses.values()))

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """**Shape:** (rows, numbers of all heads), (rows, heads) -> ()."""
        values = self.by_head(prediction, target)
        return torch.stack([self.weights[name] * value for name, value in values.items()]).sum()

    def by_head(self, prediction: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss of each head, without its weight."""
        return {
            name: getattr(self, key)(*self.of_head(name, prediction, target))
            for name, key in zip(self.names, self.keys, strict=True)
        }

    def of_head(self, name: str, prediction: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Prediction and target of a head: (rows, classes) and labels (rows,), or (rows, 1) both."""
        return self.of_prediction(name, prediction), self.of_target(name, target)

    def of_prediction(self, name: str, prediction: torch.Tensor) -> torch.Tensor:
        """The prediction of a head."""
        start, stop = self.spans[name]
        return prediction[:, start:stop]

    def of_target(self, name: str, target: torch.Tensor) -> torch.Tensor:
        """The target of a head."""
        column = target[:, self.names.index(name)]
        return column.round().long() if self.labels[name] else column[:, None]
