"""The slice of each parameter in the matrices of a stack, found by passing a few rows through one member."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.backend.streams import drawing
from annpipe.datasets.steps.tensors import Rows
from annpipe.plan.plan import Plan
from annpipe.train.gears.stacked.layers import StackingMode, stacking_modes
from annpipe.train.gears.stacked.model import layers_of
from annpipe.train.parts import Parts, named_parameters

SAMPLE = 8  # rows that show which parameters have a gradient


@dataclass(frozen=True)
class ParameterSlice:
    """Where a parameter stands in the matrix of its group."""

    group: int
    start: int
    stop: int
    shape: torch.Size

    def of(self, matrix: torch.Tensor) -> torch.Tensor:
        """Its numbers, (members, *shape)."""
        return matrix[:, self.start : self.stop].view(len(matrix), *self.shape)


def layer_modes(plan: Plan, parts: Parts) -> list[StackingMode]:
    """How each layer of runs like this one is run in a stack; what the trial draws belongs to no stream."""
    rows = parts.rows["train"]
    assert isinstance(rows, Rows)
    with drawing(plan.head.seed, "dropout"):
        return stacking_modes(layers_of(parts.model), rows.x[:SAMPLE])


def size(shape: Sequence[int]) -> int:
    return max(1, torch.Size(shape).numel())


def matrix(rows: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
    """(members, numbers) of the tensors of each member."""
    return torch.stack([torch.cat([t.reshape(-1) for t in tensors]) if tensors else torch.empty(0) for tensors in rows])


def trained(parts: Parts, slices: Mapping[str, ParameterSlice]) -> list[torch.nn.Parameter]:
    """The parameters of a member that have slices, in their order."""
    named = named_parameters(parts.model, parts.loss)
    return [named[name] for name in slices]


def slices_of(parts: Parts) -> dict[str, ParameterSlice]:
    """The slice of each parameter that is trained and that the loss depends on, by name; torch steps no other."""
    model, rows = copy.deepcopy(parts.model).train(), parts.rows["train"]
    assert isinstance(rows, Rows)
    loss = parts.loss(model(rows.x[:SAMPLE]), rows.y[:SAMPLE])
    trial = named_parameters(model, parts.loss)
    gradients = torch.autograd.grad(loss, list(trial.values()), allow_unused=True)
    named = named_parameters(parts.model, parts.loss)
    used = {name: named[name] for name, gradient in zip(trial, gradients, strict=True) if gradient is not None}
    slices: dict[str, ParameterSlice] = {}
    for number, group in enumerate(parts.optimizer.param_groups):
        members, start = set(group["params"]), 0
        for name, parameter in used.items():
            if parameter in members:
                slices[name] = ParameterSlice(number, start, start + parameter.numel(), parameter.shape)
                start += parameter.numel()
    return slices
