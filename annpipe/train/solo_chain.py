"""How does one model get its gradients at the least cost? As a chain passed by hand, where it is one.

Half of an eager step of a small network is torch writing down a graph and walking it, and asking for memory. The
kernels here are those of torch's own pass, in its order: the numbers are the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from torch.nn.modules import module as torchs

from annpipe.train.chain import FOLLOWING, Link, links_of
from annpipe.train.losses_by_hand import is_torchs_own, loss_by_hand

Listeners = Sequence[Mapping[int, object]]


def solo_chain(model: nn.Module, loss: nn.Module, optimizer: torch.optim.Optimizer) -> SoloChain | None:
    """Model and loss as a chain that is passed by hand; None where something in them wants torch's own pass.

    What comes before the first trained layer, and so needs no gradient, may be anything.
    """
    if type(model) is not nn.Sequential or not is_torchs_own(loss):
        return None
    layers = list(model)
    begin = next((place for place, layer in enumerate(layers) if _trained([layer])), len(layers))
    links = links_of([layer for layer in layers[begin:] if not _is_idle(layer)])
    watched = [model, loss, *layers[begin:]]
    if links is None or any("forward" in vars(module) for module in watched):
        return None
    trained = _trained(layers)
    own = [tensor for link in links for tensor in _tensors(link.linear) if tensor.requires_grad]
    if len({id(parameter) for parameter in trained}) != len(own) or not all(_is_plain(one) for one in own):
        return None  # a weight that is shared gathers its gradients
    keeps = type(optimizer).__module__.startswith("torch.optim.")
    return SoloChain(layers[:begin], layers[begin:], links, loss, _listeners(watched), keeps_gradients=keeps)


def _trained(layers: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [parameter for layer in layers for parameter in layer.parameters() if parameter.requires_grad]


def _is_idle(layer: nn.Module) -> bool:
    return type(layer) is nn.Identity or (type(layer) is nn.Dropout and layer.p == 0)


def _tensors(linear: nn.Linear) -> list[torch.Tensor]:
    return [linear.weight] if linear.bias is None else [linear.weight, linear.bias]


def _is_plain(parameter: torch.Tensor) -> bool:
    return type(parameter) is nn.Parameter and parameter.is_contiguous() and parameter.device.type == "cpu"


def _listeners(modules: Sequence[nn.Module]) -> Listeners:
    """Where hooks are noted that torch's own pass would call."""
    every = [torchs._global_forward_hooks, torchs._global_forward_pre_hooks]
    every += [torchs._global_backward_hooks, torchs._global_backward_pre_hooks]
    own = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks) for m in modules]
    return [*every, *chain.from_iterable(own)]


@dataclass(frozen=True)
class _Room:
    """The places of a number of rows: of what each product gives, and each layer after it, and of the gradients."""

    given: list[torch.Tensor]
    after: list[list[torch.Tensor]]
    grown: list[torch.Tensor]


class SoloChain:
    """Calling it adds the gradients of a loss to those in the parameters."""

    def __init__(
        self,
        before: Sequence[nn.Module],
        layers: Sequence[nn.Module],
        links: Sequence[Link],
        loss: nn.Module,
        listeners: Listeners,
        *,
        keeps_gradients: bool,
    ) -> None:
        self._before, self._layers, self._links, self._loss = before, layers, links, loss
        self._listeners, self._keeps_gradients = listeners, keeps_gradients
        self._parameters = [tensor for link in links for tensor in _tensors(link.linear)]
        self._rooms: dict[int, _Room] = {}
        self._places: dict[int, torch.Tensor] = {}
        self._shares: dict[float, torch.Tensor] = {}

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens to torch's own pass, which is then the one to take."""
        return any(self._listeners) or any(
            tensor._backward_hooks or tensor._post_accumulate_grad_hooks for tensor in self._parameters
        )

    def __call__(self, x: torch.Tensor, y: torch.Tensor, share: float) -> torch.Tensor:
        """x, (rows, …), and y, (rows, …) -> the loss times `share`, detached."""
        for layer in self._before:
            x = layer(x)
        weight = self._links[0].linear.weight
        if x.dim() != 2 or x.requires_grad or x.dtype != weight.dtype or not x.is_contiguous() or not len(x):
            return self._with_graph(x, y, share)
        with torch.no_grad():
            return self._by_hand(x, y, share)

    def _with_graph(self, x: torch.Tensor, y: torch.Tensor, share: float) -> torch.Tensor:
        for layer in self._layers:
            x = layer(x)
        value: torch.Tensor = self._loss(x, y) * share
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        return value.detach()

    def _by_hand(self, x: torch.Tensor, y: torch.Tensor, share: float) -> torch.Tensor:
        room = self._rooms.get(len(x)) or self._rooms.setdefault(len(x), self._room(x))
        arriving, shown = [x], list[list[torch.Tensor]]()
        for link, place, after in zip(self._links, room.given, room.after, strict=True):
            linear, x = link.linear, arriving[-1]
            if linear.bias is None:
                torch.mm(x, linear.weight.t(), out=place)
            else:
                torch.addmm(linear.bias, x, linear.weight.t(), out=place)
            shown.append([])
            for layer, next_place in zip(link.after, after, strict=True):
                shown[-1].append(FOLLOWING[type(layer)].forward(layer, place, next_place))
                place = next_place
            arriving.append(place)
        given = arriving.pop()
        scale = self._shares.get(share)
        if scale is None:
            scale = self._shares[share] = torch.full((), share, dtype=given.dtype)
        value = loss_by_hand(self._loss, given, y)(self._loss, given, y, scale, room.grown[-1])
        self._back(arriving, shown, room.grown)
        return value if share == 1.0 else value * share

    def _back(
        self, arriving: Sequence[torch.Tensor], shown: Sequence[Sequence[torch.Tensor]], places: Sequence[torch.Tensor]
    ) -> None:
        """From the gradient in the last of the places to those of the parameters."""
        for number in range(len(self._links) - 1, -1, -1):
            link, grown = self._links[number], places[number]
            for layer, one in zip(reversed(link.after), reversed(shown[number]), strict=True):
                FOLLOWING[type(layer)].backward(layer, one, grown)
            weight, bias = link.linear.weight, link.linear.bias
            if weight.requires_grad:
                self._add(weight, torch.mm, grown.t(), arriving[number])
            if bias is not None and bias.requires_grad:
                self._add(bias, torch.sum, grown, 0)
            if number:
                torch.mm(grown, weight, out=places[number - 1])

    def _add(self, parameter: torch.Tensor, kernel: Callable[..., torch.Tensor], *operands: object) -> None:
        """Adds what a kernel gives to the gradient of a parameter; the first in its own place, where it may stay."""
        if parameter.grad is not None:
            parameter.grad.add_(kernel(*operands))
            return
        place = self._places.get(id(parameter))
        found = kernel(*operands, out=place)
        if self._keeps_gradients and place is None:
            self._places[id(parameter)] = found
        parameter.grad = found

    def _room(self, x: torch.Tensor) -> _Room:
        """Gradients live in two places by turns: each is done with when the next but one is asked for."""
        widths = [link.linear.out_features for link in self._links]
        given = [x.new_empty(len(x), width) for width in widths]
        after: list[list[torch.Tensor]] = []
        for link, place in zip(self._links, given, strict=True):
            after.append([])
            for number, layer in enumerate(link.after):
                is_over = FOLLOWING[type(layer)].in_place and number == 0
                after[-1].append(place if is_over else torch.empty_like(place))
        spare = [x.new_empty(len(x) * max(widths)) for _ in range(2)]
        grown = [spare[number % 2][: len(x) * width].view(-1, width) for number, width in enumerate(widths)]
        return _Room(given, after, grown)
