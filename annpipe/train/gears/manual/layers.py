"""Forward and backward passes of layers without autograd: `Linear`, and elementwise layers that follow it.

Torch's backward pass asks the system for memory at each layer of each step and writes down a graph for it; here outputs
and gradients have memory that is kept. The kernels are those that torch's own pass calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

aten = torch.ops.aten
NARROW = 16  # numbers that a layer gives, those of a vector register: with fewer, a batch of many rows is transposed
MANY_ROWS = 256


@dataclass(frozen=True)
class ManualLayer:
    """The passes of a layer that acts on each number alone.

    `forward` takes the layer, its input and where its output is written, and returns what `backward` needs of them.
    `backward` takes the layer, that, and the gradient, which it changes in place. `in_place`: `backward` needs the
    output alone, so that it may be written over the input.
    """

    forward: Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
    backward: Callable[[Any, torch.Tensor, torch.Tensor], object]
    in_place: bool = False


def _relu(_: nn.ReLU, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return torch.clamp_min(x, 0, out=out)


def _relu_backward(_: nn.ReLU, output: torch.Tensor, grad: torch.Tensor) -> None:
    aten.threshold_backward.grad_input(grad, output, 0, grad_input=grad)


def _tanh(_: nn.Tanh, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x, out=out)


def _tanh_backward(_: nn.Tanh, output: torch.Tensor, grad: torch.Tensor) -> None:
    aten.tanh_backward.grad_input(grad, output, grad_input=grad)


def _sigmoid(_: nn.Sigmoid, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(x, out=out)


def _sigmoid_backward(_: nn.Sigmoid, output: torch.Tensor, grad: torch.Tensor) -> None:
    aten.sigmoid_backward.grad_input(grad, output, grad_input=grad)


def _gelu(layer: nn.GELU, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    aten.gelu.out(x, approximate=layer.approximate, out=out)
    return x


def _gelu_backward(layer: nn.GELU, x: torch.Tensor, grad: torch.Tensor) -> None:
    aten.gelu_backward.grad_input(grad, x, approximate=layer.approximate, grad_input=grad)


def _silu(_: nn.SiLU, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    aten.silu.out(x, out=out)
    return x


def _silu_backward(_: nn.SiLU, x: torch.Tensor, grad: torch.Tensor) -> None:
    aten.silu_backward.grad_input(grad, x, grad_input=grad)


def _leaky_relu(layer: nn.LeakyReLU, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    aten.leaky_relu.out(x, layer.negative_slope, out=out)
    return x


def _leaky_relu_backward(layer: nn.LeakyReLU, x: torch.Tensor, grad: torch.Tensor) -> None:
    aten.leaky_relu_backward.grad_input(grad, x, layer.negative_slope, False, grad_input=grad)


def _elu(layer: nn.ELU, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    aten.elu.out(x, layer.alpha, out=out)
    return x


def _elu_backward(layer: nn.ELU, x: torch.Tensor, grad: torch.Tensor) -> None:
    aten.elu_backward.grad_input(grad, layer.alpha, 1, 1, False, x, grad_input=grad)


def _softplus(layer: nn.Softplus, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    aten.softplus.out(x, layer.beta, layer.threshold, out=out)
    return x


def _softplus_backward(layer: nn.Softplus, x: torch.Tensor, grad: torch.Tensor) -> None:
    aten.softplus_backward.grad_input(grad, x, layer.beta, layer.threshold, grad_input=grad)


def _dropout(layer: nn.Dropout, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    noise = x.new_empty(x.shape).bernoulli_(1 - layer.p).div_(1 - layer.p)
    torch.mul(x, noise, out=out)  # the noise is drawn row by row, whatever the strides of x
    return noise


def _dropout_backward(_: nn.Dropout, noise: torch.Tensor, grad: torch.Tensor) -> None:
    grad.mul_(noise)


MANUAL_LAYERS: Mapping[type[nn.Module], ManualLayer] = {
    nn.ReLU: ManualLayer(_relu, _relu_backward, in_place=True),
    nn.Tanh: ManualLayer(_tanh, _tanh_backward, in_place=True),
    nn.Sigmoid: ManualLayer(_sigmoid, _sigmoid_backward, in_place=True),
    nn.GELU: ManualLayer(_gelu, _gelu_backward),
    nn.SiLU: ManualLayer(_silu, _silu_backward),
    nn.LeakyReLU: ManualLayer(_leaky_relu, _leaky_relu_backward),
    nn.ELU: ManualLayer(_elu, _elu_backward),
    nn.Softplus: ManualLayer(_softplus, _softplus_backward),
    nn.Dropout: ManualLayer(_dropout, _dropout_backward),
}


@dataclass(frozen=True)
class LinearBlock:
    """A `Linear` and the layers of `MANUAL_LAYERS` that follow it."""

    linear: nn.Linear
    after: tuple[nn.Module, ...] = ()


def linear_blocks(layers: Sequence[nn.Module]) -> list[LinearBlock] | None:
    """The layers as a chain, in training; None where they are none."""
    blocks: list[LinearBlock] = []
    for layer in layers:
        if type(layer) is nn.Linear:
            blocks.append(LinearBlock(layer))
        elif blocks and type(layer) in MANUAL_LAYERS and not (type(layer) is nn.Dropout and layer.p == 1):
            blocks[-1] = LinearBlock(blocks[-1].linear, (*blocks[-1].after, layer))
        else:
            return None
    return blocks or None
