"""How does one model get its gradients at the least cost? As a chain passed by hand, where it is one.

Half of an eager step of a small network is torch writing down a graph and walking it, and asking for memory. The
kernels here are those of torch's own pass, in its order, and the numbers the same bit for bit; only many rows of a
narrow layer are laid out the other way, in which products of them take half the time and add in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from torch.nn.modules import module as torchs

from annpipe.train.gears.manual.layers import FOLLOWING, MANY_ROWS, NARROW, Link, links_of
from annpipe.train.gears.manual.losses import is_torchs_own, loss_by_hand

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
    """The places of a number of rows, for each link: what its product gives, and each layer after it, and the gradient
    of that, as it lies and turned."""

    given: list[torch.Tensor]
    after: list[list[torch.Tensor]]
    grown: list[torch.Tensor]
    turned: list[torch.Tensor]


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
        self._before, self._layers, self._loss = before, layers, loss
        self._listeners, self._keeps_gradients = listeners, keeps_gradients
        self._tensors = [(link.linear.weight, link.linear.bias) for link in links]  # the optimizer holds them, too
        self._after = [[(FOLLOWING[type(layer)], layer) for layer in link.after] for link in links]
        self._rooms: dict[int, _Room] = {}
        self._places: dict[int, torch.Tensor] = {}
        self._shares: dict[float, torch.Tensor] = {}

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens to torch's own pass, which is then the one to take."""
        return any(self._listeners) or any(
            tensor is not None and (tensor._backward_hooks or tensor._post_accumulate_grad_hooks)
            for tensor in chain.from_iterable(self._tensors)
        )

    def __call__(self, x: torch.Tensor, y: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
        """x, (rows, …), and y, (rows, …) -> the loss times `share`, a number or (), detached."""
        for layer in self._before:
            x = layer(x)
        is_plain = x.dim() == 2 and x.dtype == self._tensors[0][0].dtype and x.is_contiguous() and len(x) > 0
        if x.requires_grad or not is_plain:
            return self._with_graph(x, y, share)
        with torch.no_grad():
            return self._by_hand(x, y, share)

    def _with_graph(self, x: torch.Tensor, y: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
        for layer in self._layers:
            x = layer(x)
        value: torch.Tensor = self._loss(x, y) * share
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        return value.detach()

    def _by_hand(self, x: torch.Tensor, y: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
        room = self._rooms.get(len(x)) or self._rooms.setdefault(len(x), self._room(x))
        arriving, shown = [x], list[list[torch.Tensor]]()
        for (weight, bias), after, place, next_places in zip(
            self._tensors, self._after, room.given, room.after, strict=True
        ):
            if bias is None:
                torch.mm(arriving[-1], weight.t(), out=place)
            else:
                torch.addmm(bias, arriving[-1], weight.t(), out=place)
            shown.append([])
            for (following, layer), next_place in zip(after, next_places, strict=True):
                shown[-1].append(following.forward(layer, place, next_place))
                place = next_place
            arriving.append(place)
        given = arriving.pop()
        scale = share.to(given.dtype) if isinstance(share, torch.Tensor) else self._scale(share, given.dtype)
        value = loss_by_hand(self._loss, given, y)(self._loss, given, y, scale, room.grown[-1])
        self._back(arriving, shown, room)
        return value if isinstance(share, float) and share == 1.0 else value * share

    def _scale(self, share: float, dtype: torch.dtype) -> torch.Tensor:
        """The share as a tensor: those of rows are few."""
        scale = self._shares.get(share)
        if scale is None:
            scale = self._shares[share] = torch.full((), share, dtype=dtype)
        return scale

    def _back(self, arriving: Sequence[torch.Tensor], shown: Sequence[Sequence[torch.Tensor]], room: _Room) -> None:
        """From the gradient in the last place to those of the parameters."""
        for number in range(len(self._tensors) - 1, -1, -1):
            grown = room.grown[number]
            for (following, layer), one in zip(reversed(self._after[number]), reversed(shown[number]), strict=True):
                following.backward(layer, one, grown)
            weight, bias = self._tensors[number]
            if weight.requires_grad:
                self._add(weight, torch.mm, room.turned[number], arriving[number])
            if bias is not None and bias.requires_grad:
                self._add(bias, torch.sum, grown, 0)
            if number:
                torch.mm(grown, weight, out=room.grown[number - 1])

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
        widths = [len(weight) for weight, _ in self._tensors]
        lying = [width < NARROW and len(x) >= MANY_ROWS for width in widths]
        lying[-1] = False  # a loss of several numbers a row wants them as usual
        given = [_laid(x.new_empty(len(x) * width), width, way) for width, way in zip(widths, lying, strict=True)]
        after: list[list[torch.Tensor]] = []
        for followings, place in zip(self._after, given, strict=True):
            after.append([])
            for number, (following, _) in enumerate(followings):
                after[-1].append(place if following.in_place and number == 0 else torch.empty_like(place))
        spare = [x.new_empty(len(x) * max(widths)) for _ in range(2)]
        grown = [
            _laid(spare[number % 2][: len(x) * width], width, way)
            for number, (width, way) in enumerate(zip(widths, lying, strict=True))
        ]
        return _Room(given, after, grown, [place.t() for place in grown])


def _laid(memory: torch.Tensor, width: int, rows_together: bool) -> torch.Tensor:
    """Memory as (rows, width). A product fills its vectors along what lies together: with a narrow layer's numbers half
    of each would be empty, with its rows none."""
    return memory.view(width, -1).t() if rows_together else memory.view(-1, width)
