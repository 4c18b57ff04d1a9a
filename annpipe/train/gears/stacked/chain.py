"""How is a chain of `Linear` and what follows them passed forward and back at the least cost? In memory that is kept.

A piece of a stack gives some mebibytes at each layer. Torch's own backward pass asks the system for them anew at each
step; here each layer has its place, and so has its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from annpipe.train.gears.manual.layers import FOLLOWING, Link, links_of
from annpipe.train.gears.stacked.layers import Tensors


def chain_of(layers: Sequence[nn.Module]) -> Chain | None:
    """The layers as a chain, if they are one: products, each with at most one layer behind, which takes its place."""
    links = links_of(layers)
    if links is None or not all(len(link.after) <= 1 and _are_in_place(link.after) for link in links):
        return None
    return Chain(links)


def _are_in_place(layers: Sequence[nn.Module]) -> bool:
    return all(FOLLOWING[type(layer)].in_place for layer in layers)


def _identity(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else id(tensor)


def rows_last(x: torch.Tensor) -> torch.Tensor:
    """(members, rows, features) -> (members, features, rows); a single feature gets the strides of a row, which
    products need to be fast."""
    return x.flatten(1).unsqueeze(1) if x.shape[2] == 1 else x.transpose(1, 2)


class Chain:
    """Products on (members, features, rows), one model's layers for all members of a piece."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._after = [link.after for link in links]
        self._names = [(id(link.linear.weight), _identity(link.linear.bias)) for link in links]
        self._kept: dict[tuple[torch.Size, torch.dtype], _Memory] = {}

    def forward(self, x: torch.Tensor, tensors: Tensors) -> list[torch.Tensor]:
        """x, (members, features, rows) -> what arrives at each product, and what the last one gives."""
        places = self._memory(x, tensors).given
        passed = [x]
        for (name, bias), after, place in zip(self._names, self._after, places, strict=True):
            weight = tensors[name].detach()
            if bias is None:
                torch.bmm(weight, passed[-1], out=place)
            else:
                torch.baddbmm(tensors[bias].detach().unsqueeze(2), weight, passed[-1], out=place)
            for layer in after:
                FOLLOWING[type(layer)].forward(layer, place, place)
            passed.append(place)
        return passed

    def backward(
        self, passed: Sequence[torch.Tensor], grown: torch.Tensor, tensors: Tensors
    ) -> dict[int, torch.Tensor]:
        """The gradient of what `forward` gave last -> that of each trained tensor by its identity; the next call writes
        over it."""
        memory = self._memory(passed[0], tensors)
        found: dict[int, torch.Tensor] = {}
        for number, (name, bias) in reversed(list(enumerate(self._names))):
            weight = tensors[name]
            for layer in self._after[number]:
                FOLLOWING[type(layer)].backward(layer, passed[number + 1], grown)
            if weight.requires_grad:
                found[name] = torch.bmm(grown, passed[number].transpose(1, 2), out=memory.weights[number])
            if bias is not None and tensors[bias].requires_grad:
                found[bias] = grown.sum(2)
            if number:
                grown = torch.bmm(weight.detach().transpose(1, 2), grown, out=memory.grown[number - 1])
        return found

    def forget(self) -> None:
        """Lets go of the memory."""
        self._kept = {}

    def _memory(self, x: torch.Tensor, tensors: Tensors) -> _Memory:
        """The places for this many members and rows."""
        key = x.shape, x.dtype
        if key not in self._kept:
            weights = [(len(x), *tensors[name].shape[1:]) for name, _ in self._names]
            given = [(len(x), shape[1], x.shape[2]) for shape in weights]
            self._kept[key] = _Memory(
                *([x.new_empty(shape) for shape in some] for some in (given, given[:-1], weights))
            )
        return self._kept[key]


@dataclass(frozen=True)
class _Memory:
    """What each product gives, the gradients of what all but the last give, and those of the weights."""

    given: list[torch.Tensor]
    grown: list[torch.Tensor]
    weights: list[torch.Tensor]
