"""How do many layers of one kind run as one? On tensors with one more dimension, the members, wherever that works.

A `Linear` is one batched product, what acts on each number alone runs as it is, `Dropout` draws for each member what
that member's own run would draw, and every other layer is tried on `torch.func.vmap`. What fails there, draws or keeps
statistics runs member by member, in the middle of a stack.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.modules.dropout import _DropoutNd

from annpipe.portable.stack import passed
from annpipe.portable.taps import Taps
from annpipe.train.gears.manual.layers import MANY_ROWS, NARROW

ALONE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh),
    *(nn.Identity, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.LogSigmoid, nn.Softplus, nn.Softsign),
    *(nn.Softshrink, nn.Hardshrink, nn.Tanhshrink, nn.Threshold),
)
"""Layers without parameters that act on each number alone."""
DRAWS = "which draws at random"

Tensors = Mapping[int, torch.Tensor]
"""The stacked tensors, (members, …), by the identity of the first member's own."""
Run = Callable[[torch.Tensor, Tensors, Sequence[int]], torch.Tensor]
"""x, (members, rows, …), stacked tensors and the numbers of the members -> (members, rows, …)."""


@dataclass(frozen=True)
class Way:
    """How a layer is run: member by member where there is a `reason`, for all at once where there is none.

    `order` has the dimensions of what arrives by their strides in a run alone, where they do not lie as usual: what a
    layer draws lies so, too.
    """

    reason: str | None = None
    order: tuple[int, ...] | None = None


def own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those that are shared once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def ways(model: nn.Sequential, x: torch.Tensor) -> list[Way]:
    """The way of each layer, tried on rows x, (rows, …), two models at a time; torch's global generator is drawn from.

    The model stays as it is.
    """
    found = []
    model = copy.deepcopy(model).train()
    for module in model:
        lie = torch.empty_like(x).stride()
        order = tuple(sorted(range(x.dim()), key=lambda dim: -lie[dim]))
        reason, given = _tried(module, x, is_as_usual=order == tuple(range(x.dim())))
        found.append(Way(reason, order if reason and order != tuple(range(x.dim())) else None))
        x = given
    return found


def _tried(module: nn.Module, x: torch.Tensor, *, is_as_usual: bool) -> tuple[str | None, torch.Tensor]:
    """Why a layer is not run for many models at once, if it is not, and what it gives of x."""
    if type(module) is nn.Dropout:
        return None if is_as_usual else "which draws in an order of its own", module(x).detach()
    if type(module) is nn.Linear or type(module) in ALONE:
        return None, module(x).detach()
    before = copy.deepcopy(module)
    drawn = torch.get_rng_state()
    alone = _first(passed(module, x)).detach()
    draws = not torch.equal(drawn, torch.get_rng_state())
    if draws or any(isinstance(inner, _DropoutNd) for inner in module.modules()):  # other members may drop a share
        return DRAWS, alone
    if any(isinstance(value, Taps) for inner in module.modules() for value in vars(inner).values()):
        return "which taps", alone
    if not _is_as_before(module, before):
        return "which keeps statistics of its batches", alone
    return _mapping_fault(before, x), alone


def _first(given: Any) -> torch.Tensor:
    """What flows on of what a layer gives."""
    flows: torch.Tensor = given[0] if isinstance(given, tuple | list) else given
    return flows


def _is_as_before(module: nn.Module, before: nn.Module) -> bool:
    """Whether a pass left buffers and plain attributes as they were."""
    for inner, other in zip(module.modules(), before.modules(), strict=True):
        for name, value in vars(inner).items():
            if isinstance(value, int | float | str) and vars(other).get(name) != value:
                return False
    found, known = own_tensors(module), own_tensors(before)
    return found.keys() == known.keys() and all(
        torch.allclose(found[name], known[name], rtol=0, atol=0, equal_nan=True) for name in known
    )


def _mapping_fault(module: nn.Module, x: torch.Tensor) -> str | None:
    """Why `vmap` does not run the layer for two models at once, if it does not."""
    rows = torch.stack([x, x.flip(0)])
    tensors = own_tensors(module)
    stacked = {id(own): torch.stack([own.detach()] * 2) for own in tensors.values()}
    trained = [stacked[id(own)].requires_grad_() for own in module.parameters()]
    if rows.is_floating_point():
        trained.append(rows.requires_grad_())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            given = mapped(module)(rows, stacked, (0, 1))
            gradients = _gradients(given, trained)
        except Exception:  # whatever a layer raises of being mapped, its own run does without
            return "which has no batched kernel"
    own = [
        _first(functional_call(module, {n: stacked[id(t)][i] for n, t in tensors.items()}, *_taken(module, rows[i])))
        for i in range(2)
    ]
    alone = torch.stack(own)
    close = 1e-9 if alone.dtype == torch.float64 else 1e-4
    pairs = [(alone, given), *zip(_gradients(alone, trained), gradients, strict=True)]
    if not all(torch.allclose(one, other, rtol=close, atol=close / 10, equal_nan=True) for one, other in pairs):
        return "which gives something else of many models at once"
    return None


def _gradients(given: torch.Tensor, trained: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Of a sum that tells the numbers apart; none where nothing is trained."""
    if not trained or not given.requires_grad:
        return []
    weights = torch.linspace(0.5, 1.5, given.numel(), dtype=given.dtype, device=given.device).view_as(given)
    return list(torch.autograd.grad((given * weights).sum(), trained, allow_unused=True, materialize_grads=True))


def _taken(module: nn.Module, x: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
    """What a layer is called with: an attention attends to what arrives."""
    return ((x, x, x), {"need_weights": False}) if isinstance(module, nn.MultiheadAttention) else ((x,), {})


def mapped(module: nn.Module) -> Run:
    """A layer through `vmap`."""
    names = {name: id(own) for name, own in own_tensors(module).items()}
    training = copy.deepcopy(module).train()  # the first member's own is evaluated now and then

    def one(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return _first(functional_call(training, tensors, *_taken(training, x)))

    every = vmap(one, randomness="error")
    without = vmap(lambda x: one({}, x), randomness="error")

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        given: torch.Tensor = every({name: tensors[own] for name, own in names.items()}, x) if names else without(x)
        return given

    return run


def one_by_one(models: Sequence[nn.Sequential], place: int, streams: Sequence[torch.Generator], way: Way) -> Run:
    """The layer at a place of each member's own model, which keeps its own statistics and draws from its own stream.

    `models` is looked into at each step, so that a member that leaves may have another put in its place.
    """
    names = {name: id(own) for name, own in models[0][place].named_parameters()}

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        own = {name: tensors[number].unbind() for name, number in names.items()}
        given = []
        for number, (member, rows) in enumerate(zip(members, x.unbind(), strict=True)):
            module = models[member][place]
            with lent(streams[member]):
                taken = _taken(module, rows if way.order is None else _laid(rows, way.order))
                given.append(_first(functional_call(module, {name: one[number] for name, one in own.items()}, *taken)))
        return torch.stack(given)

    return run


def _laid(x: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
    """The same numbers with strides that fall in this order of dimensions."""
    back = sorted(range(len(order)), key=lambda dim: order[dim])
    return x.permute(*order).contiguous().permute(*back)


@contextmanager
def lent(stream: torch.Generator) -> Iterator[None]:
    """Inside, torch's global generator goes on where the stream stopped."""
    before = torch.get_rng_state()
    torch.set_rng_state(stream.get_state())
    try:
        yield
    finally:
        stream.set_state(torch.get_rng_state())
        torch.set_rng_state(before)


def linear(module: nn.Linear) -> Run:
    """One product for all; of rows of several dimensions it goes through `vmap`."""
    weight, bias = id(module.weight), None if module.bias is None else id(module.bias)
    otherwise, lying = mapped(module), lying_linear(module)
    is_narrow = module.out_features < NARROW

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        if x.dim() != 3:
            return otherwise(x, tensors, members)
        if is_narrow and x.shape[1] >= MANY_ROWS:
            return lying(x.transpose(1, 2), tensors, members).transpose(1, 2)
        turned = tensors[weight].transpose(1, 2)  # (members, inputs, outputs)
        return _product(x, turned, None if bias is None else tensors[bias].unsqueeze(1))

    return run


def lying_linear(module: nn.Linear) -> Run:
    """The same of x, (members, features, rows): rows side by side fill the vectors of a product."""
    weight, bias = id(module.weight), None if module.bias is None else id(module.bias)

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        return _product(tensors[weight], x, None if bias is None else tensors[bias].unsqueeze(2))

    return run


def _product(one: torch.Tensor, other: torch.Tensor, shift: torch.Tensor | None) -> torch.Tensor:
    """(members, n, k) times (members, k, m), and the shift. The compiler joins what it writes out to its neighbours, so
    that a product over a single number is written once, with the activation behind it."""
    if torch.compiler.is_compiling() and one.shape[2] == 1:
        return one * other if shift is None else one * other + shift
    return torch.bmm(one, other) if shift is None else torch.baddbmm(shift, one, other)


def dropout(shares: Sequence[float], streams: Sequence[torch.Generator]) -> Run:
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


def alone(module: nn.Module) -> Run:
    """A layer that acts on each number alone."""
    return lambda x, tensors, members: module(x)
