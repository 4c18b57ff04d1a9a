"""Layers of many models run as one, on tensors with one more dimension, the members, wherever that works.

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

from annpipe.backend.torch_classes import facts_of
from annpipe.portable.stack import passed
from annpipe.portable.taps import Taps
from annpipe.train.gears.manual.layers import MANY_ROWS, NARROW

DRAWS = "which draws at random"

Tensors = Mapping[str, torch.Tensor]
"""The stacked tensors, (members, …), by their names in the model; one that layers share by the first of its names."""
LayerNames = Mapping[str, str]
"""The names of a layer's tensors in the layer -> their names in the model."""
LayerRun = Callable[[torch.Tensor, Tensors, Sequence[int]], torch.Tensor]
"""x, (members, rows, …), stacked tensors and the numbers of the members -> (members, rows, …)."""


@dataclass(frozen=True)
class StackingMode:
    """How a layer is run: member by member where there is a `reason`, for all at once where there is none.

    `order` has the dimensions of the layer's input by their strides in a run alone, where they are not in the usual
    order: what a layer draws has the same strides.
    """

    reason: str | None = None
    order: tuple[int, ...] | None = None


def named_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, those that are shared once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def layer_names(model: nn.Sequential) -> list[dict[str, str]]:
    """For each layer the names of its tensors."""
    names = {tensor: name for name, tensor in named_tensors(model).items()}  # a tensor is a key by its identity
    return [{name: names[tensor] for name, tensor in named_tensors(layer).items()} for layer in model]


def stacking_modes(model: nn.Sequential, x: torch.Tensor) -> list[StackingMode]:
    """The mode of each layer, tried on rows x, (rows, …), two models at a time; torch's global generator is drawn from.

    The model stays as it is.
    """
    modes = []
    model = copy.deepcopy(model).train()
    for module in model:
        strides = torch.empty_like(x).stride()
        order = tuple(sorted(range(x.dim()), key=lambda dim: -strides[dim]))
        is_as_usual = order == tuple(range(x.dim()))
        reason, x = _tried(module, x, is_as_usual=is_as_usual)
        modes.append(StackingMode(reason, order if reason and not is_as_usual else None))
    return modes


def _tried(module: nn.Module, x: torch.Tensor, *, is_as_usual: bool) -> tuple[str | None, torch.Tensor]:
    """Why a layer is not run for many models at once, if it is not, and its output for x."""
    if type(module) is nn.Dropout:
        return None if is_as_usual else "which draws random numbers in another order of dimensions", module(x).detach()
    if type(module) is nn.Linear or facts_of(module).is_elementwise:
        return None, module(x).detach()
    before = copy.deepcopy(module)
    drawn = torch.get_rng_state()
    output = _first(passed(module, x)).detach()
    draws = not torch.equal(drawn, torch.get_rng_state())
    if draws or any(isinstance(inner, _DropoutNd) for inner in module.modules()):  # other members may have another p
        return DRAWS, output
    if any(isinstance(value, Taps) for inner in module.modules() for value in vars(inner).values()):
        return "which sets or reads a tap", output
    if not _is_as_before(module, before):
        return "which keeps statistics of its batches", output
    return _mapping_fault(before, x), output


def _first(output: Any) -> torch.Tensor:
    """What the next layer takes of the output of a layer."""
    first: torch.Tensor = output[0] if isinstance(output, tuple | list) else output
    return first


def _is_as_before(module: nn.Module, before: nn.Module) -> bool:
    """Whether a pass left buffers and plain attributes as they were."""
    for inner, other in zip(module.modules(), before.modules(), strict=True):
        for name, value in vars(inner).items():
            if isinstance(value, int | float | str) and vars(other).get(name) != value:
                return False
    tensors, known = named_tensors(module), named_tensors(before)
    return tensors.keys() == known.keys() and all(
        torch.allclose(tensors[name], known[name], rtol=0, atol=0, equal_nan=True) for name in known
    )


def _mapping_fault(module: nn.Module, x: torch.Tensor) -> str | None:
    """Why `vmap` does not run the layer for two models at once, if it does not."""
    rows = torch.stack([x, x.flip(0)])
    stacked = {name: torch.stack([tensor.detach()] * 2) for name, tensor in named_tensors(module).items()}
    trained = [stacked[name].requires_grad_() for name, _ in module.named_parameters()]
    if rows.is_floating_point():
        trained.append(rows.requires_grad_())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            outputs = mapped(module, {name: name for name in stacked})(rows, stacked, (0, 1))
            gradients = _gradients(outputs, trained)
        except Exception:  # whatever a layer raises of being mapped, its own run does without
            return "which has no batched kernel"
    members = [
        _first(functional_call(module, {name: stacked[name][i] for name in stacked}, *_arguments(module, rows[i])))
        for i in range(2)
    ]
    alone = torch.stack(members)
    close = 1e-9 if alone.dtype == torch.float64 else 1e-4
    pairs = [(alone, outputs), *zip(_gradients(alone, trained), gradients, strict=True)]
    if not all(torch.allclose(a, b, rtol=close, atol=close / 10, equal_nan=True) for a, b in pairs):
        return "whose output differs when many models run at once"
    return None


def _gradients(outputs: torch.Tensor, trained: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Of a sum that tells the numbers apart; none where nothing is trained."""
    if not trained or not outputs.requires_grad:
        return []
    weights = torch.linspace(0.5, 1.5, outputs.numel(), dtype=outputs.dtype, device=outputs.device).view_as(outputs)
    total = (outputs * weights).sum()
    return list(torch.autograd.grad(total, trained, allow_unused=True, materialize_grads=True))


def _arguments(module: nn.Module, x: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
    """What a layer is called with: an attention attends to its input."""
    return ((x, x, x), {"need_weights": False}) if isinstance(module, nn.MultiheadAttention) else ((x,), {})


def mapped(module: nn.Module, names: LayerNames) -> LayerRun:
    """A layer through `vmap`."""
    training = copy.deepcopy(module).train()  # the first member's own is evaluated now and then

    def of_member(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return _first(functional_call(training, tensors, *_arguments(training, x)))

    with_tensors = vmap(of_member, randomness="error")
    without = vmap(lambda x: of_member({}, x), randomness="error")

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        output: torch.Tensor = (
            with_tensors({name: tensors[full] for name, full in names.items()}, x) if names else without(x)
        )
        return output

    return run


def member_by_member(
    models: Sequence[nn.Sequential],
    position: int,
    names: LayerNames,
    streams: Sequence[torch.Generator],
    mode: StackingMode,
) -> LayerRun:
    """The layer at a position of each member's own model, which keeps its own statistics and draws from its own stream.

    `models` is looked into at each step, so that a member that leaves may have another put in its place.
    """
    names = {name: names[name] for name, _ in models[0][position].named_parameters()}

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        stacked = {name: tensors[full].unbind() for name, full in names.items()}
        outputs = []
        for number, (member, rows) in enumerate(zip(members, x.unbind(), strict=True)):
            module = models[member][position]
            with lent(streams[member]):
                arguments = _arguments(module, rows if mode.order is None else _reordered(rows, mode.order))
                parameters = {name: rows_of[number] for name, rows_of in stacked.items()}
                outputs.append(_first(functional_call(module, parameters, *arguments)))
        return torch.stack(outputs)

    return run


def _reordered(x: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
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


def linear(module: nn.Linear, names: LayerNames) -> LayerRun:
    """One product for all; of rows of several dimensions it goes through `vmap`."""
    weight, bias = names["weight"], names.get("bias")
    otherwise, transposed = mapped(module, names), transposed_linear(names)
    is_narrow = module.out_features < NARROW

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        if x.dim() != 3:
            return otherwise(x, tensors, members)
        if is_narrow and x.shape[1] >= MANY_ROWS:
            return transposed(x.transpose(1, 2), tensors, members).transpose(1, 2)
        transposed_weight = tensors[weight].transpose(1, 2)  # (members, inputs, outputs)
        return _product(x, transposed_weight, None if bias is None else tensors[bias].unsqueeze(1))

    return run


def transposed_linear(names: LayerNames) -> LayerRun:
    """The same of x, (members, features, rows): rows side by side fill the vectors of a product."""
    weight, bias = names["weight"], names.get("bias")

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        return _product(tensors[weight], x, None if bias is None else tensors[bias].unsqueeze(2))

    return run


def _product(left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """(members, n, k) times (members, k, m), and the bias. The compiler joins what it writes out to its neighbours, so
    that a product over a single number is written once, with the activation behind it."""
    if torch.compiler.is_compiling() and left.shape[2] == 1:
        return left * right if bias is None else left * right + bias
    return torch.bmm(left, right) if bias is None else torch.baddbmm(bias, left, right)


def dropout(ps: Sequence[float], streams: Sequence[torch.Generator]) -> LayerRun:
    """Each member's mask, with its p, out of its own stream, in the order in which its own run draws it."""

    def run(x: torch.Tensor, tensors: Tensors, members: Sequence[int]) -> torch.Tensor:
        noise = torch.ones(x.shape, dtype=x.dtype, device=x.device)
        for row, member in zip(noise, members, strict=True):
            p = ps[member]
            if 0 < p < 1:
                row.bernoulli_(1 - p, generator=streams[member]).div_(1 - p)
            elif p == 1:
                row.zero_()
        return x * noise

    return run


def elementwise(module: nn.Module) -> LayerRun:
    """A layer that acts on each number alone."""
    return lambda x, tensors, members: module(x)
