"""Gradients of one model at the least cost: a chain of layers is passed without autograd.

Half of an eager step of a small network is torch writing down a graph and walking it, and asking for memory. The
kernels here are those of torch's own pass, in its order, and the numbers the same bit for bit; only a batch of many
rows of a narrow layer is transposed, so that its products take half the time and add in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from torch.nn.modules import module as torchs

from annpipe.train.gears.manual.layers import MANUAL_LAYERS, MANY_ROWS, NARROW, LinearBlock, linear_blocks
from annpipe.train.gears.manual.losses import is_torchs_own, manual_loss

Hooks = Sequence[Mapping[int, object]]


def solo_chain(model: nn.Module, loss: nn.Module, optimizer: torch.optim.Optimizer) -> SoloChain | None:
    """Model and loss as a chain that is passed without autograd; None where something in them needs torch's own pass.

    What comes before the first trained layer, and so needs no gradient, may be anything.
    """
    if type(model) is not nn.Sequential or not is_torchs_own(loss):
        return None
    layers = list(model)
    begin = next((index for index, layer in enumerate(layers) if _trained([layer])), len(layers))
    blocks = linear_blocks([layer for layer in layers[begin:] if not _is_idle(layer)])
    watched = [model, loss, *layers[begin:]]
    if blocks is None or any("forward" in vars(module) for module in watched):
        return None
    trained = _trained(layers)
    tensors = [tensor for block in blocks for tensor in _tensors(block.linear) if tensor.requires_grad]
    if len(set(trained)) != len(tensors) or not all(_is_plain(tensor) for tensor in tensors):
        return None  # a weight that is shared gathers its gradients
    keeps = type(optimizer).__module__.startswith("torch.optim.")
    return SoloChain(layers[:begin], layers[begin:], blocks, loss, _hooks(watched), keeps_gradients=keeps)


def _trained(layers: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [parameter for layer in layers for parameter in layer.parameters() if parameter.requires_grad]


def _is_idle(layer: nn.Module) -> bool:
    return type(layer) is nn.Identity or (type(layer) is nn.Dropout and layer.p == 0)


def _tensors(linear: nn.Linear) -> list[torch.Tensor]:
    return [linear.weight] if linear.bias is None else [linear.weight, linear.bias]


def _is_plain(parameter: torch.Tensor) -> bool:
    return type(parameter) is nn.Parameter and parameter.is_contiguous() and parameter.device.type == "cpu"


def _hooks(modules: Sequence[nn.Module]) -> Hooks:
    """Where the hooks are kept that torch's own pass would call."""
    hooks = [torchs._global_forward_hooks, torchs._global_forward_pre_hooks]
    hooks += [torchs._global_backward_hooks, torchs._global_backward_pre_hooks]
    of_modules = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks) for m in modules]
    return [*hooks, *chain.from_iterable(of_modules)]


@dataclass(frozen=True)
class _Buffers:
    """The memory for a number of rows, for each block: the outputs of its product and of each layer after it, and the
    gradient of these, as it is and transposed."""

    outputs: list[torch.Tensor]
    after: list[list[torch.Tensor]]
    grads: list[torch.Tensor]
    transposed_grads: list[torch.Tensor]


class SoloChain:
    """Calling it adds the gradients of a loss to those in the parameters."""

    def __init__(
        self,
        before: Sequence[nn.Module],
        layers: Sequence[nn.Module],
        blocks: Sequence[LinearBlock],
        loss: nn.Module,
        hooks: Hooks,
        *,
        keeps_gradients: bool,
    ) -> None:
        self._before, self._layers, self._loss = before, layers, loss
        self._hooks, self._keeps_gradients = hooks, keeps_gradients
        self._tensors = [(block.linear.weight, block.linear.bias) for block in blocks]  # the optimizer holds them, too
        self._names = [(f"{number}.weight", f"{number}.bias") for number in range(len(blocks))]
        self._after = [[(MANUAL_LAYERS[type(layer)], layer) for layer in block.after] for block in blocks]
        self._buffers: dict[int, _Buffers] = {}
        self._gradients: dict[str, torch.Tensor] = {}
        self._scales: dict[float, torch.Tensor] = {}

    @property
    def has_hooks(self) -> bool:
        """Whether there are hooks on torch's own pass, which is then the one to take."""
        return any(self._hooks) or any(
            tensor is not None and (tensor._backward_hooks or tensor._post_accumulate_grad_hooks)
            for tensor in chain.from_iterable(self._tensors)
        )

    def __call__(self, x: torch.Tensor, y: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
        """x, (rows, …), and y, (rows, …) -> the loss times `scale`, a number or (), detached."""
        for layer in self._before:
            x = layer(x)
        is_plain = x.dim() == 2 and x.dtype == self._tensors[0][0].dtype and x.is_contiguous() and len(x) > 0
        if x.requires_grad or not is_plain:
            return self._with_autograd(x, y, scale)
        with torch.no_grad():
            return self._without_autograd(x, y, scale)

    def _with_autograd(self, x: torch.Tensor, y: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
        for layer in self._layers:
            x = layer(x)
        value: torch.Tensor = self._loss(x, y) * scale
        value.backward()  # type: ignore[no-untyped-call]  # torch's own
        return value.detach()

    def _without_autograd(self, x: torch.Tensor, y: torch.Tensor, scale: float | torch.Tensor) -> torch.Tensor:
        buffers = self._buffers.get(len(x)) or self._buffers.setdefault(len(x), self._new_buffers(x))
        inputs, kept = [x], list[list[torch.Tensor]]()
        for (weight, bias), after, out, next_outs in zip(
            self._tensors, self._after, buffers.outputs, buffers.after, strict=True
        ):
            if bias is None:
                torch.mm(inputs[-1], weight.t(), out=out)
            else:
                torch.addmm(bias, inputs[-1], weight.t(), out=out)
            kept.append([])
            for (manual, layer), next_out in zip(after, next_outs, strict=True):
                kept[-1].append(manual.forward(layer, out, next_out))
                out = next_out
            inputs.append(out)
        outputs = inputs.pop()
        factor = scale.to(outputs.dtype) if isinstance(scale, torch.Tensor) else self._as_tensor(scale, outputs.dtype)
        value = manual_loss(self._loss, outputs, y)(self._loss, outputs, y, factor, buffers.grads[-1])
        self._backward(inputs, kept, buffers)
        return value if isinstance(scale, float) and scale == 1.0 else value * scale

    def _as_tensor(self, scale: float, dtype: torch.dtype) -> torch.Tensor:
        """The scale as a tensor: those of batches are few."""
        tensor = self._scales.get(scale)
        if tensor is None:
            tensor = self._scales[scale] = torch.full((), scale, dtype=dtype)
        return tensor

    def _backward(
        self, inputs: Sequence[torch.Tensor], kept: Sequence[Sequence[torch.Tensor]], buffers: _Buffers
    ) -> None:
        """From the gradient of the last outputs to those of the parameters."""
        for number in range(len(self._tensors) - 1, -1, -1):
            grad = buffers.grads[number]
            for (manual, layer), needed in zip(reversed(self._after[number]), reversed(kept[number]), strict=True):
                manual.backward(layer, needed, grad)
            (weight, bias), (weight_name, bias_name) = self._tensors[number], self._names[number]
            if weight.requires_grad:
                self._add(weight_name, weight, torch.mm, buffers.transposed_grads[number], inputs[number])
            if bias is not None and bias.requires_grad:
                self._add(bias_name, bias, torch.sum, grad, 0)
            if number:
                torch.mm(grad, weight, out=buffers.grads[number - 1])

    def _add(self, name: str, parameter: torch.Tensor, kernel: Callable[..., torch.Tensor], *operands: object) -> None:
        """Adds what a kernel gives to the gradient of a parameter; the first into memory of its own, if it is kept."""
        if parameter.grad is not None:
            parameter.grad.add_(kernel(*operands))
            return
        out = self._gradients.get(name)
        gradient = kernel(*operands, out=out)
        if self._keeps_gradients and out is None:
            self._gradients[name] = gradient
        parameter.grad = gradient

    def _new_buffers(self, x: torch.Tensor) -> _Buffers:
        """Gradients live in two pieces of memory by turns: each is done with when the next but one is asked for."""
        widths = [len(weight) for weight, _ in self._tensors]
        transposed = [width < NARROW and len(x) >= MANY_ROWS for width in widths]
        transposed[-1] = False  # a loss of several numbers a row wants them as usual
        layouts = list(zip(widths, transposed, strict=True))
        outputs = [_as_rows(x.new_empty(len(x) * width), width, is_transposed=t) for width, t in layouts]
        after: list[list[torch.Tensor]] = []
        for layers, out in zip(self._after, outputs, strict=True):
            after.append([])
            for number, (manual, _) in enumerate(layers):
                after[-1].append(out if manual.in_place and number == 0 else torch.empty_like(out))
        spare = [x.new_empty(len(x) * max(widths)) for _ in range(2)]
        grads = [
            _as_rows(spare[number % 2][: len(x) * width], width, is_transposed=t)
            for number, (width, t) in enumerate(layouts)
        ]
        return _Buffers(outputs, after, grads, [grad.t() for grad in grads])


def _as_rows(memory: torch.Tensor, width: int, *, is_transposed: bool) -> torch.Tensor:
    """Memory as (rows, width). A product fills its vectors along neighbours in memory: with a narrow layer's numbers
    half of each would be empty, with its rows none."""
    return memory.view(width, -1).t() if is_transposed else memory.view(-1, width)
