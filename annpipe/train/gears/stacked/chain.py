"""Passes a chain of `Linear` and elementwise layers of many models forward and back, in memory that is kept.

A chunk of a stack gives some mebibytes at each layer. Torch's own backward pass asks the system for them anew at each
step; here the outputs of each layer have memory of their own, and so have their gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from annpipe.train.gears.manual.layers import MANUAL_LAYERS, LinearBlock, linear_blocks
from annpipe.train.gears.stacked.layers import Tensors, layer_names

BlockNames = tuple[str, str | None]
"""The names of the weight and the bias of a product."""


def chain_of(model: nn.Sequential) -> Chain | None:
    """The layers as a chain, if they are one: products, each with at most one layer behind, which is done in place."""
    blocks = linear_blocks(list(model))
    if blocks is None or not all(len(block.after) <= 1 and _are_in_place(block.after) for block in blocks):
        return None
    names = [_block_names(names) for names, layer in zip(layer_names(model), model, strict=True) if _is_linear(layer)]
    return Chain(blocks, names)


def _is_linear(layer: nn.Module) -> bool:
    return type(layer) is nn.Linear


def _are_in_place(layers: Sequence[nn.Module]) -> bool:
    return all(MANUAL_LAYERS[type(layer)].in_place for layer in layers)


def _block_names(names: Mapping[str, str]) -> BlockNames:
    return names["weight"], names.get("bias")


def rows_last(x: torch.Tensor) -> torch.Tensor:
    """(members, rows, features) -> (members, features, rows); a single feature gets the strides of a row, which
    products need to be fast."""
    return x.flatten(1).unsqueeze(1) if x.shape[2] == 1 else x.transpose(1, 2)


class Chain:
    """Products on (members, features, rows), the layers of one model for all members of a chunk."""

    def __init__(self, blocks: Sequence[LinearBlock], names: Sequence[BlockNames]) -> None:
        self._after = [block.after for block in blocks]
        self._names = names
        self._memory: dict[tuple[torch.Size, torch.dtype], _Memory] = {}

    def forward(self, x: torch.Tensor, tensors: Tensors) -> list[torch.Tensor]:
        """x, (members, features, rows) -> the input of each product, and the output of the last one."""
        activations = [x]
        outputs = self._memory_for(x, tensors).outputs
        for (name, bias), after, out in zip(self._names, self._after, outputs, strict=True):
            weight = tensors[name].detach()
            if bias is None:
                torch.bmm(weight, activations[-1], out=out)
            else:
                torch.baddbmm(tensors[bias].detach().unsqueeze(2), weight, activations[-1], out=out)
            for layer in after:
                MANUAL_LAYERS[type(layer)].forward(layer, out, out)
            activations.append(out)
        return activations

    def backward(
        self, activations: Sequence[torch.Tensor], grad: torch.Tensor, tensors: Tensors
    ) -> dict[str, torch.Tensor]:
        """The gradient of the last of the `activations` -> that of each trained tensor by its name; the next call
        writes over it."""
        memory = self._memory_for(activations[0], tensors)
        gradients: dict[str, torch.Tensor] = {}
        for number, (name, bias) in reversed(list(enumerate(self._names))):
            weight = tensors[name]
            for layer in self._after[number]:
                MANUAL_LAYERS[type(layer)].backward(layer, activations[number + 1], grad)
            if weight.requires_grad:
                gradients[name] = torch.bmm(grad, activations[number].transpose(1, 2), out=memory.weights[number])
            if bias is not None and tensors[bias].requires_grad:
                gradients[bias] = grad.sum(2)
            if number:
                grad = torch.bmm(weight.detach().transpose(1, 2), grad, out=memory.grads[number - 1])
        return gradients

    def forget(self) -> None:
        """Lets go of the memory."""
        self._memory = {}

    def _memory_for(self, x: torch.Tensor, tensors: Tensors) -> _Memory:
        """The memory for this many members and rows."""
        key = x.shape, x.dtype
        if key not in self._memory:
            weights = [(len(x), *tensors[name].shape[1:]) for name, _ in self._names]
            outputs = [(len(x), shape[1], x.shape[2]) for shape in weights]
            self._memory[key] = _Memory(
                *([x.new_empty(shape) for shape in shapes] for shapes in (outputs, outputs[:-1], weights))
            )
        return self._memory[key]


@dataclass(frozen=True)
class _Memory:
    """The outputs of each product, the gradients of all but the last of these, and those of the weights."""

    outputs: list[torch.Tensor]
    grads: list[torch.Tensor]
    weights: list[torch.Tensor]
