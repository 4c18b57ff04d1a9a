"""How do many models of one structure run as one? Layer by layer, then their losses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import nn
from torch.func import functional_call, vmap

from annpipe.taps import TappedStack
from annpipe.train.stacked_layers import ALONE, Run, Tensors, Way, alone, dropout, linear, mapped, one_by_one

PLAIN_LOSSES = (
    *(nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss),
    *(nn.NLLLoss, nn.PoissonNLLLoss),
)
"""Losses that `vmap` runs as one; others are called member by member."""

IN_PLACE: Mapping[type[nn.Module], Callable[[torch.Tensor], torch.Tensor]] = {
    nn.ReLU: torch.relu_,
    nn.Tanh: torch.tanh_,
    nn.Sigmoid: torch.sigmoid_,
}
"""Layers whose gradient asks for what they give alone, so that it may take the place of a product."""


def _all_turned(layers: Sequence[nn.Module]) -> list[Run]:
    """Layers on (members, features, rows): products are faster where few features meet many rows."""
    befores = [None, *(type(layer) for layer in layers)]
    return [_turned(layer, before) for layer, before in zip(layers, befores, strict=False)]


def _turned(module: nn.Module, before: type[nn.Module] | None) -> Run:
    if type(module) in IN_PLACE and before is nn.Linear:
        return lambda x, tensors, members: IN_PLACE[type(module)](x)
    if type(module) is not nn.Linear:
        return alone(module)
    weight, bias = id(module.weight), None if module.bias is None else id(module.bias)

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        return (
            torch.bmm(tensors[weight], x)
            if bias is None
            else torch.baddbmm(tensors[bias].unsqueeze(2), tensors[weight], x)
        )

    return run


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


class StackedModel:
    """Models and losses of one structure. `alike`: the losses have the same options; `ways` are those of the layers."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        losses: Sequence[nn.Module],
        alike: bool,
        streams: Sequence[torch.Generator],
        ways: Sequence[Way],
    ) -> None:
        self._models = [layers_of(model) for model in models]
        self._runs = list(_layer_runs(self._models, streams, ways))
        self.is_mixed = any(way.reason for way in ways)
        first = list(self._models[0])
        is_plain = all(type(layer) in (nn.Linear, *ALONE) for layer in first)
        self._turned = _all_turned(first) if is_plain else None
        self._losses = losses
        self._every_loss = _mapped_loss(losses[0]) if alike and type(losses[0]) in PLAIN_LOSSES else None
        self._loss_tensors = {
            name: torch.stack([dict(loss.named_buffers())[name] for loss in losses])
            for name, _ in losses[0].named_buffers()
        }

    def train(self) -> None:
        """The layers that run member by member go into training, wherever they have been evaluated."""
        if self.is_mixed:
            for model in self._models:
                model.train()

    def release(self, member: int) -> None:
        """The model is the member's own again; the stack goes on with a copy."""
        if self.is_mixed:
            self._models[member] = copy.deepcopy(self._models[member])

    def losses(self, x: torch.Tensor, y: torch.Tensor, tensors: Tensors, members: range) -> torch.Tensor:
        """x and y, (members, rows, …) -> the loss of each, (members,), with its graph."""
        if self._turned is not None and x.dim() == 3:
            x = x.transpose(1, 2)
            for run in self._turned:
                x = run(x, tensors, members)
            x = x.transpose(1, 2)
        else:
            for run in self._runs:
                x = run(x, tensors, members)
            for member in members:
                if isinstance(model := self._models[member], TappedStack):
                    model.taps.values.clear()
        if self._every_loss is None:
            return torch.stack([self._losses[member](x[place], y[place]) for place, member in enumerate(members)])
        own = {name: one[members.start : members.stop] for name, one in self._loss_tensors.items()}
        return self._every_loss(own, x, y)


def _mapped_loss(loss: nn.Module) -> Callable[[dict[str, torch.Tensor], torch.Tensor, torch.Tensor], torch.Tensor]:
    def one(tensors: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor = functional_call(loss, tensors, (x, y))
        return given

    def every(tensors: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor = vmap(one, randomness="error")(tensors, x, y)
        return given

    return every if dict(loss.named_buffers()) else lambda _, x, y: vmap(lambda a, b: one({}, a, b))(x, y)
