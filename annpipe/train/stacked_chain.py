"""How is a chain of `Linear` and what follows them passed forward and back at the least cost? In memory that is kept.

A piece of a stack gives some mebibytes at each layer. Torch's own backward pass asks the system for them anew at each
step; here each layer has its place, and so has its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from annpipe.train.stacked_layers import Tensors

aten = torch.ops.aten


def _nothing(grown: torch.Tensor, given: torch.Tensor) -> None:
    """The gradient goes on as it is."""


def _back_relu(grown: torch.Tensor, given: torch.Tensor) -> None:
    aten.threshold_backward.grad_input(grown, given, 0, grad_input=grown)


def _back_tanh(grown: torch.Tensor, given: torch.Tensor) -> None:
    aten.tanh_backward.grad_input(grown, given, grad_input=grown)


def _back_sigmoid(grown: torch.Tensor, given: torch.Tensor) -> None:
    aten.sigmoid_backward.grad_input(grown, given, grad_input=grown)


Forward = Callable[[torch.Tensor], object]
Backward = Callable[[torch.Tensor, torch.Tensor], None]
FOLLOWING: dict[type[nn.Module], tuple[Forward, Backward]] = {
    nn.ReLU: (torch.relu_, _back_relu),
    nn.Tanh: (torch.tanh_, _back_tanh),
    nn.Sigmoid: (torch.sigmoid_, _back_sigmoid),
}
"""Layers whose gradient asks for what they give alone: they take the place of a product, in either direction."""


@dataclass(frozen=True)
class Link:
    """A `Linear`, by the identities of its tensors, and what follows it."""

    weight: int
    bias: int | None
    forward: Forward = id
    backward: Backward = _nothing


def chain_of(layers: Sequence[nn.Module]) -> Chain | None:
    """The layers as a chain, if they are one: products, each with at most one layer of `FOLLOWING` behind it."""
    links: list[Link] = []
    is_open = False
    for layer in layers:
        if type(layer) is nn.Linear:
            links.append(Link(id(layer.weight), None if layer.bias is None else id(layer.bias)))
        elif type(layer) in FOLLOWING and is_open:
            links[-1] = Link(links[-1].weight, links[-1].bias, *FOLLOWING[type(layer)])
        else:
            return None
        is_open = type(layer) is nn.Linear
    return Chain(links) if links else None


def rows_last(x: torch.Tensor) -> torch.Tensor:
    """(members, rows, features) -> (members, features, rows); a single feature gets the strides of a row, which
    products need to be fast."""
    return x.flatten(1).unsqueeze(1) if x.shape[2] == 1 else x.transpose(1, 2)


class Chain:
    """Products on (members, features, rows), one model's layers for all members of a piece."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._kept: dict[tuple[torch.Size, torch.dtype], list[list[torch.Tensor]]] = {}

    def forward(self, x: torch.Tensor, tensors: Tensors) -> list[torch.Tensor]:
        """x, (members, features, rows) -> what arrives at each product, and what the last one gives."""
        places, _ = self._memory(x, tensors)
        passed = [x]
        for link, place in zip(self._links, places, strict=True):
            weight = tensors[link.weight].detach()
            if link.bias is None:
                torch.bmm(weight, passed[-1], out=place)
            else:
                torch.baddbmm(tensors[link.bias].detach().unsqueeze(2), weight, passed[-1], out=place)
            link.forward(place)
            passed.append(place)
        return passed

    def backward(
        self, passed: Sequence[torch.Tensor], grown: torch.Tensor, tensors: Tensors
    ) -> dict[int, torch.Tensor]:
        """The gradient of what `forward` gave last -> that of each trained tensor by its identity."""
        _, places = self._memory(passed[0], tensors)
        found: dict[int, torch.Tensor] = {}
        for number, link in reversed(list(enumerate(self._links))):
            weight = tensors[link.weight]
            link.backward(grown, passed[number + 1])
            if weight.requires_grad:
                found[link.weight] = torch.bmm(grown, passed[number].transpose(1, 2))
            if link.bias is not None and tensors[link.bias].requires_grad:
                found[link.bias] = grown.sum(2)
            if number:
                grown = torch.bmm(weight.detach().transpose(1, 2), grown, out=places[number - 1])
        return found

    def forget(self) -> None:
        """Lets go of the memory."""
        self._kept = {}

    def _memory(self, x: torch.Tensor, tensors: Tensors) -> list[list[torch.Tensor]]:
        """What the products give and the gradients of that, for this many members and rows."""
        key = x.shape, x.dtype
        if key not in self._kept:
            shapes = [(len(x), tensors[link.weight].shape[1], x.shape[2]) for link in self._links]
            self._kept[key] = [[x.new_empty(shape) for shape in some] for some in (shapes, shapes[:-1])]
        return self._kept[key]
