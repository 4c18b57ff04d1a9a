"""A list of layers as one module: what a model is, and what an option of the type `stack` becomes."""

from __future__ import annotations

from typing import Any

import torch


class Stack(torch.nn.Sequential):
    """Layers run one after another; of a layer that returns a tuple the first item goes on.

    That is an LSTM's or GRU's sequence of hidden states (rows, steps, features) and an attention's output; the states
    after the last step, and attention's weights, are dropped.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        for module in self:
            output = passed(module, input)
            input = output[0] if isinstance(output, tuple | list) else output
        return input


def passed(module: torch.nn.Module, input: torch.Tensor) -> Any:
    """The output of a layer; an attention gets the input as query, key and value, and computes no weights."""
    if isinstance(module, torch.nn.MultiheadAttention):
        return module(input, input, input, need_weights=False)
    return module(input)


def stacked(layers: Stack) -> Stack:
    """A block, built: the stack itself."""
    return layers
