"""Where does each parameter of a stack lie, and how is each layer run? A few rows are passed through one member."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.backend.streams import drawing
from annpipe.datasets.steps.tensors import Rows
from annpipe.plan.plan import Plan
from annpipe.train.gears.stacked.layers import Way, ways
from annpipe.train.gears.stacked.model import layers_of
from annpipe.train.parts import Parts, named_parameters

SAMPLE = 8  # rows that tell which parameters have a gradient


@dataclass(frozen=True)
class Column:
    """A parameter's place in the matrix of its group."""

    group: int
    start: int
    stop: int
    shape: torch.Size

    def of(self, matrix: torch.Tensor) -> torch.Tensor:
        """Its numbers, (members, *shape)."""
        return matrix[:, self.start : self.stop].view(len(matrix), *self.shape)


def layer_ways(plan: Plan, parts: Parts) -> list[Way]:
    """How each layer of runs like this one is run in a stack; what the trial draws is nobody's."""
    rows = parts.rows["train"]
    assert isinstance(rows, Rows)
    with drawing(plan.head.seed, "dropout"):
        return ways(layers_of(parts.model), rows.x[:SAMPLE])


def size(shape: Sequence[int]) -> int:
    return max(1, torch.Size(shape).numel())


def matrix(rows: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
    """(members, numbers) of the tensors of each member."""
    return torch.stack([torch.cat([one.reshape(-1) for one in own]) if own else torch.empty(0) for own in rows])


def trained(parts: Parts, columns: Mapping[str, Column]) -> list[torch.nn.Parameter]:
    """The parameters of a member that have columns, in their order."""
    named = named_parameters(parts.model, parts.loss)
    return [named[name] for name in columns]


def columns_of(parts: Parts) -> dict[str, Column]:
    """The place of each parameter that is trained and that the loss depends on; torch steps no other."""
    model, rows = copy.deepcopy(parts.model).train(), parts.rows["train"]
    assert isinstance(rows, Rows)
    loss = parts.loss(model(rows.x[:SAMPLE]), rows.y[:SAMPLE])
    trial = named_parameters(model, parts.loss)
    found = torch.autograd.grad(loss, list(trial.values()), allow_unused=True)
    named = named_parameters(parts.model, parts.loss)
    used = {name: named[name] for name, one in zip(trial, found, strict=True) if one is not None}
    columns: dict[str, Column] = {}
    for number, group in enumerate(parts.optimizer.param_groups):
        members, start = {id(parameter) for parameter in group["params"]}, 0
        for name, parameter in used.items():
            if id(parameter) in members:
                columns[name] = Column(number, start, start + parameter.numel(), parameter.shape)
                start += parameter.numel()
    return columns
