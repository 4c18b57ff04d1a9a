"""How do many models of one structure run as one? Layer by layer, on tensors with one more dimension, the members.

A `Linear` is one batched product, what acts on each number alone runs as it is, and every other layer goes through
`torch.func.vmap`. Dropout draws for each member what that member's own run would draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap

ALONE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh),
    *(nn.Identity, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.LogSigmoid, nn.Softplus, nn.Softsign),
    *(nn.Softshrink, nn.Hardshrink, nn.Tanhshrink, nn.Threshold),
)
"""Layers without parameters that act on each number alone."""
PLAIN_LOSSES = (
    *(nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss),
    *(nn.NLLLoss, nn.PoissonNLLLoss, nn.KLDivLoss, nn.SoftMarginLoss),
)
"""Losses that `vmap` runs as one; others are called member by member."""

Tensors = Mapping[int, torch.Tensor]
"""The stacked tensors, (members, …), by the identity of the first member's own."""
Run = Callable[[torch.Tensor, Tensors, Sequence[int]], torch.Tensor]
"""x, (members, rows, …), stacked tensors and the numbers of the members -> (members, rows, …)."""


def own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those that are shared once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def mapped(module: nn.Module) -> Run:
    """A layer through `vmap`; of a tuple the first flows on, as in a stack."""
    names = {name: id(own) for name, own in own_tensors(module).items()}
    is_attention = isinstance(module, nn.MultiheadAttention)

    def one(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        taken, also = ((x, x, x), {"need_weights": False}) if is_attention else ((x,), {})
        given: Any = functional_call(module, tensors, taken, also)
        return given[0] if isinstance(given, tuple | list) else given  # type: ignore[no-any-return]  # a layer's tensor

    every = vmap(one, randomness="error")

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        given: torch.Tensor = every({name: tensors[own] for name, own in names.items()}, x)
        return given

    return run if names else lambda x, tensors, members: _through(module, one, x)


def _through(module: nn.Module, one: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    given: torch.Tensor = vmap(lambda row: one({}, row), randomness="error")(x)
    return given


def _linear(module: nn.Linear) -> Run:
    weight, bias = id(module.weight), None if module.bias is None else id(module.bias)
    otherwise = mapped(module)

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        if x.dim() != 3:
            return otherwise(x, tensors, members)
        turned = tensors[weight].transpose(1, 2)  # (members, inputs, outputs)
        return torch.bmm(x, turned) if bias is None else torch.baddbmm(tensors[bias].unsqueeze(1), x, turned)

    return run


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
        return _alone(module)
    weight, bias = id(module.weight), None if module.bias is None else id(module.bias)

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        return (
            torch.bmm(tensors[weight], x)
            if bias is None
            else torch.baddbmm(tensors[bias].unsqueeze(2), tensors[weight], x)
        )

    return run


def _dropout(shares: Sequence[float], streams: Sequence[torch.Generator]) -> Run:
    """Each member's mask out of its own stream, in the order in which its own run draws it."""

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        noise = torch.ones(x.shape, dtype=x.dtype, device=x.device)
        for place, member in enumerate(members):
            share = shares[member]
            if 0 < share < 1:
                noise[place].bernoulli_(1 - share, generator=streams[member]).div_(1 - share)
            elif share == 1:
                noise[place].zero_()
        return x * noise

    return run


def _alone(module: nn.Module) -> Run:
    return lambda x, tensors, members: module(x)


def _layers(model: nn.Module) -> nn.Sequential:
    assert isinstance(model, nn.Sequential)  # transforms that go with each batch go alone
    return model


def layer_runs(models: Sequence[nn.Module], streams: Sequence[torch.Generator]) -> list[Run]:
    """The layers of models of one structure, each run as one."""
    runs: list[Run] = []
    for layers in zip(*(_layers(model) for model in models), strict=True):
        first: Any = layers[0]
        if type(first) is nn.Linear:
            runs.append(_linear(first))
        elif type(first) is nn.Dropout:
            runs.append(_dropout([float(layer.p) for layer in layers], streams))
        elif type(first) in ALONE:
            runs.append(_alone(first))
        else:
            runs.append(mapped(first))
    return runs


class StackedModel:
    """Models and losses of one structure. `alike`: the losses have the same options."""

    def __init__(
        self, models: Sequence[nn.Module], losses: Sequence[nn.Module], alike: bool, streams: Sequence[torch.Generator]
    ) -> None:
        self._runs = layer_runs(models, streams)
        first = list(_layers(models[0]))
        is_plain = all(type(layer) in (nn.Linear, *ALONE) for layer in first)
        self._turned = _all_turned(first) if is_plain else None
        self._losses = losses
        self._every_loss = _mapped_loss(losses[0]) if alike and type(losses[0]) in PLAIN_LOSSES else None
        self._loss_tensors = {
            name: torch.stack([dict(loss.named_buffers())[name] for loss in losses])
            for name, _ in losses[0].named_buffers()
        }

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
