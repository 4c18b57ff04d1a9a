"""How do many models of one structure run as one? Layer by layer, then their losses."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from annpipe.portable.taps import TappedStack
from annpipe.train.gears.manual.layers import MANY_ROWS
from annpipe.train.gears.stacked.chain import chain_of, rows_last
from annpipe.train.gears.stacked.layers import (
    ALONE,
    Run,
    Tensors,
    Way,
    alone,
    dropout,
    linear,
    lying_linear,
    mapped,
    one_by_one,
)
from annpipe.train.gears.stacked.losses import Share, StackedLosses
from annpipe.train.gears.stacked.terms import StackedTerms


def layers_of(model: nn.Module) -> nn.Sequential:
    """The layers of a model that can be stacked."""
    assert isinstance(model, nn.Sequential)  # transforms that go with each batch go alone
    return model


def _layer_runs(
    models: Sequence[nn.Sequential], streams: Sequence[torch.Generator], ways: Sequence[Way]
) -> Iterator[Run]:
    """The layers of models of one structure, each run as one."""
    for place, (first, way) in enumerate(zip(models[0], ways, strict=True)):
        if way.reason is not None:
            yield one_by_one(models, place, streams, way)
        elif type(first) is nn.Linear:
            yield linear(first)
        elif type(first) is nn.Dropout:
            yield dropout([float(model[place].p) for model in models], streams)  # type: ignore[arg-type]  # a number
        else:
            yield alone(first) if type(first) in ALONE else mapped(first)


def _lying_runs(model: nn.Sequential) -> list[Run] | None:
    """The layers of models of one structure on (members, features, rows), where each of them can."""
    if not all(type(layer) is nn.Linear or type(layer) in ALONE for layer in model):
        return None
    return [lying_linear(layer) if type(layer) is nn.Linear else alone(layer) for layer in model]


class StackedModel:
    """Models and losses of one structure; `ways` are those of the layers."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        losses: StackedLosses | StackedTerms,
        streams: Sequence[torch.Generator],
        ways: Sequence[Way],
    ) -> None:
        self._models = [layers_of(model) for model in models]
        self._runs = list(_layer_runs(self._models, streams, ways))
        self.is_mixed = any(way.reason for way in ways)
        self._lying_runs = _lying_runs(self._models[0])
        self._chain = chain_of(list(self._models[0]))
        self._losses = losses

    def train(self) -> None:
        """The layers that run member by member go into training, wherever they have been evaluated."""
        if self.is_mixed:
            for model in self._models:
                model.train()

    def release(self, member: int) -> None:
        """The model is the member's own again; the stack goes on with a copy."""
        if self.is_mixed:
            self._models[member] = copy.deepcopy(self._models[member])

    def forget(self) -> None:
        """Lets go of memory that was kept for other numbers of members."""
        if self._chain is not None:
            self._chain.forget()

    def gradients(
        self, x: torch.Tensor, y: torch.Tensor, tensors: Tensors, members: range, leaves: Sequence[int], share: Share
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """x and y, (members, rows, …) -> the losses, (members,), times `share`, or the values of their terms, (members,
        K), and the gradients of the `leaves`.

        Leaves are named as the `tensors` are; their gradients are (members, …).
        """
        if self._chain is not None and x.dim() == 3 and x.device.type == "cpu":
            passed = self._chain.forward(rows_last(x), tensors)
            losses, grown = self._losses.by_hand(passed[-1].transpose(1, 2), y, members, share)
            found = self._chain.backward(passed, rows_last(grown), tensors)
            return losses, [found[leaf] for leaf in leaves]
        given = self._passed(x, tensors, members)
        losses, grown = self._losses.by_hand(given.detach(), y, members, share)
        return losses, torch.autograd.grad(given, [tensors[leaf] for leaf in leaves], grown)

    def losses(self, x: torch.Tensor, y: torch.Tensor, tensors: Tensors, members: range) -> torch.Tensor:
        """x and y, (members, rows, …) -> the losses, (members,), with their graph, or the values and divisors of their
        terms, (members, 2K)."""
        return self._losses.each(self._passed(x, tensors, members), y, members)

    def _passed(self, x: torch.Tensor, tensors: Tensors, members: range) -> torch.Tensor:
        """What the models give, with its graph."""
        if self._lying_runs and x.dim() == 3 and x.shape[1] >= MANY_ROWS:
            x = rows_last(x)
            for run in self._lying_runs:
                x = run(x, tensors, members)
            return x.transpose(1, 2)
        for run in self._runs:
            x = run(x, tensors, members)
        for member in members:
            if isinstance(model := self._models[member], TappedStack):
                model.taps.values.clear()
        return x
