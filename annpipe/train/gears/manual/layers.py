"""Which layers can be passed forward and back by hand? A chain of `Linear` and what follows each, number by number.

Torch's backward pass asks the system for memory at each layer of each step and writes down a graph for it; a chain has
its places, and so have its gradients. The kernels are those that torch's own pass calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

aten = torch.ops.aten
NARROW = 16  # numbers that a layer gives, those of a vector register: of fewer, many rows lie side by side
MANY_ROWS = 256


@dataclass(frozen=True)
class Following:
    """How a layer that acts on each number alone is passed.

    `forward` takes the layer, what arrives and the place for what it gives, and returns what `backward` must be shown.
    `backward` takes the layer, that, and the gradient, which it changes in its place. `in_place`: `backward` asks
    for what the layer gives alone, so that it may be written over what arrives.
    """

    forward: Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
    backward: Callable[[Any, torch.Tensor, torch.Tensor], object]
    in_place: bool = False


def _relu(_: nn.ReLU, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return torch.clamp_min(x, 0, out=place)


def _relu_back(_: nn.ReLU, given: torch.Tensor, grown: torch.Tensor) -> None:
    aten.threshold_backward.grad_input(grown, given, 0, grad_input=grown)


def _tanh(_: nn.Tanh, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x, out=place)


def _tanh_back(_: nn.Tanh, given: torch.Tensor, grown: torch.Tensor) -> None:
    aten.tanh_backward.grad_input(grown, given, grad_input=grown)


def _sigmoid(_: nn.Sigmoid, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(x, out=place)


def _sigmoid_back(_: nn.Sigmoid, given: torch.Tensor, grown: torch.Tensor) -> None:
    aten.sigmoid_backward.grad_input(grown, given, grad_input=grown)


def _gelu(layer: nn.GELU, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    aten.gelu.out(x, approximate=layer.approximate, out=place)
    return x


def _gelu_back(layer: nn.GELU, x: torch.Tensor, grown: torch.Tensor) -> None:
    aten.gelu_backward.grad_input(grown, x, approximate=layer.approximate, grad_input=grown)


def _silu(_: nn.SiLU, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    aten.silu.out(x, out=place)
    return x


def _silu_back(_: nn.SiLU, x: torch.Tensor, grown: torch.Tensor) -> None:
    aten.silu_backward.grad_input(grown, x, grad_input=grown)


def _leaky_relu(layer: nn.LeakyReLU, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    aten.leaky_relu.out(x, layer.negative_slope, out=place)
    return x


def _leaky_relu_back(layer: nn.LeakyReLU, x: torch.Tensor, grown: torch.Tensor) -> None:
    aten.leaky_relu_backward.grad_input(grown, x, layer.negative_slope, False, grad_input=grown)


def _elu(layer: nn.ELU, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    aten.elu.out(x, layer.alpha, out=place)
    return x


def _elu_back(layer: nn.ELU, x: torch.Tensor, grown: torch.Tensor) -> None:
    aten.elu_backward.grad_input(grown, layer.alpha, 1, 1, False, x, grad_input=grown)


def _softplus(layer: nn.Softplus, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    aten.softplus.out(x, layer.beta, layer.threshold, out=place)
    return x


def _softplus_back(layer: nn.Softplus, x: torch.Tensor, grown: torch.Tensor) -> None:
    aten.softplus_backward.grad_input(grown, x, layer.beta, layer.threshold, grad_input=grown)


def _dropout(layer: nn.Dropout, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    noise = x.new_empty(x.shape).bernoulli_(1 - layer.p).div_(1 - layer.p)
    torch.mul(x, noise, out=place)  # the noise is drawn row by row, however x lies
    return noise


def _dropout_back(_: nn.Dropout, noise: torch.Tensor, grown: torch.Tensor) -> None:
    grown.mul_(noise)


FOLLOWING: Mapping[type[nn.Module], Following] = {
    nn.ReLU: Following(_relu, _relu_back, in_place=True),
    nn.Tanh: Following(_tanh, _tanh_back, in_place=True),
    nn.Sigmoid: Following(_sigmoid, _sigmoid_back, in_place=True),
    nn.GELU: Following(_gelu, _gelu_back),
    nn.SiLU: Following(_silu, _silu_back),
    nn.LeakyReLU: Following(_leaky_relu, _leaky_relu_back),
    nn.ELU: Following(_elu, _elu_back),
    nn.Softplus: Following(_softplus, _softplus_back),
    nn.Dropout: Following(_dropout, _dropout_back),
}


@dataclass(frozen=True)
class Link:
    """A `Linear` and the layers of `FOLLOWING` that follow it."""

    linear: nn.Linear
    after: tuple[nn.Module, ...] = ()


def links_of(layers: Sequence[nn.Module]) -> list[Link] | None:
    """The layers as a chain, in training; None where they are none."""
    links: list[Link] = []
    for layer in layers:
        if type(layer) is nn.Linear:
            links.append(Link(layer))
        elif links and type(layer) in FOLLOWING and not (type(layer) is nn.Dropout and layer.p == 1):
            links[-1] = Link(links[-1].linear, (*links[-1].after, layer))
        else:
            return None
    return links or None
