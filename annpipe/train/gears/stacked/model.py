"""Many models of one structure run as one: layer by layer, then their losses."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from annpipe.backend.torch_classes import facts_of
from annpipe.portable.taps import TappedStack
from annpipe.train.gears.manual.layers import MANY_ROWS
from annpipe.train.gears.stacked.chain import chain_of, rows_last
from annpipe.train.gears.stacked.layers import (
    LayerRun,
    StackingMode,
    Tensors,
    dropout,
    elementwise,
    layer_names,
    linear,
    mapped,
    member_by_member,
    transposed_linear,
)
from annpipe.train.gears.stacked.losses import LossScale, StackedLosses
from annpipe.train.gears.stacked.terms import StackedTerms


def layers_of(model: nn.Module) -> nn.Sequential:
    """The layers of a model that can be stacked."""
    assert isinstance(model, nn.Sequential)  # transforms that go with each batch go alone
    return model


def _layer_runs(
    models: Sequence[nn.Sequential], streams: Sequence[torch.Generator], modes: Sequence[StackingMode]
) -> Iterator[LayerRun]:
    """The layers of models of one structure, each run as one."""
    layers = zip(models[0], modes, layer_names(models[0]), strict=True)
    for position, (first, mode, names) in enumerate(layers):
        if mode.reason is not None:
            yield member_by_member(models, position, names, streams, mode)
        elif type(first) is nn.Linear:
            yield linear(first, names)
        elif type(first) is nn.Dropout:
            yield dropout([float(model[position].p) for model in models], streams)  # type: ignore[arg-type]  # a number
        else:
            yield elementwise(first) if facts_of(first).is_elementwise else mapped(first, names)


def _transposed_runs(model: nn.Sequential) -> list[LayerRun] | None:
    """The layers of models of one structure on (members, features, rows), where each of them can."""
    if not all(type(layer) is nn.Linear or facts_of(layer).is_elementwise for layer in model):
        return None
    pairs = zip(model, layer_names(model), strict=True)
    return [transposed_linear(names) if type(layer) is nn.Linear else elementwise(layer) for layer, names in pairs]


class StackedModel:
    """Models and losses of one structure; `modes` are those of the layers."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        losses: StackedLosses | StackedTerms,
        streams: Sequence[torch.Generator],
        modes: Sequence[StackingMode],
    ) -> None:
        self._models = [layers_of(model) for model in models]
        self._runs = list(_layer_runs(self._models, streams, modes))
        self.is_mixed = any(mode.reason for mode in modes)
        self._transposed_runs = _transposed_runs(self._models[0])
        self._chain = chain_of(self._models[0])
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
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        tensors: Tensors,
        members: range,
        leaves: Sequence[str],
        scale: LossScale,
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """x and y, (members, rows, …) -> the losses, (members,), times `scale`, or the values of their terms, (members,
        K), and the gradients of the `leaves`, (members, …) each.
        """
        if self._chain is not None and x.dim() == 3 and x.device.type == "cpu":
            activations = self._chain.forward(rows_last(x), tensors)
            losses, grad = self._losses.with_gradient(activations[-1].transpose(1, 2), y, members, scale)
            gradients = self._chain.backward(activations, rows_last(grad), tensors)
            return losses, [gradients[leaf] for leaf in leaves]
        outputs = self._outputs(x, tensors, members)
        losses, grad = self._losses.with_gradient(outputs.detach(), y, members, scale)
        return losses, torch.autograd.grad(outputs, [tensors[leaf] for leaf in leaves], grad)

    def losses(self, x: torch.Tensor, y: torch.Tensor, tensors: Tensors, members: range) -> torch.Tensor:
        """x and y, (members, rows, …) -> the losses, (members,), with their graph, or the values and divisors of their
        terms, (members, 2K)."""
        return self._losses.losses(self._outputs(x, tensors, members), y, members)

    def _outputs(self, x: torch.Tensor, tensors: Tensors, members: range) -> torch.Tensor:
        """The outputs of the models, with their graph."""
        if self._transposed_runs and x.dim() == 3 and x.shape[1] >= MANY_ROWS:
            x = rows_last(x)
            for run in self._transposed_runs:
                x = run(x, tensors, members)
            return x.transpose(1, 2)
        for run in self._runs:
            x = run(x, tensors, members)
        for member in members:
            if isinstance(model := self._models[member], TappedStack):
                model.taps.values.clear()
        return x
