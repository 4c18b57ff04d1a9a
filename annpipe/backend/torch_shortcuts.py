"""Shortcuts around torch's compiler, whose loading takes two seconds: shapes, optimizers and their steps without it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch.optim.optimizer import (
    Optimizer,
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
    _use_grad_for_differentiable,
)
from torch.overrides import TorchFunctionMode

F = torch.nn.functional
SHAPE_KEEPING = frozenset(
    {torch.relu, torch.sigmoid, torch.tanh, torch.selu, F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu}
    | {F.silu, F.mish, F.hardtanh, F.hardsigmoid, F.hardswish, F.logsigmoid, F.softplus, F.softsign, F.tanhshrink}
    | {F.softmax, F.log_softmax, F.dropout}
)


class LeanShapes(TorchFunctionMode):
    """Inside, what keeps a meta tensor's shape gives it at once, and so does a linear map that fits it.

    torch would run them as Python code that loads sympy and `torch._dynamo`. What does not fit is its own to refuse.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and not torch.is_grad_enabled() and _is_plain(args[0]):
            x = args[0]
            if func in SHAPE_KEEPING and kwargs.get("dtype") is None:
                return x.new_empty(x.shape)
            if func is F.linear and not kwargs and len(args) in (2, 3) and _fits(*args):
                return x.new_empty((*x.shape[:-1], len(args[1])))
        return func(*args, **kwargs)


def _is_plain(x: Any) -> bool:
    return type(x) in (torch.Tensor, torch.nn.Parameter) and x.is_meta and x.is_floating_point()


def _fits(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> bool:
    tensors = (weight,) if bias is None else (weight, bias)
    return (
        all(_is_plain(tensor) and tensor.dtype == x.dtype for tensor in tensors)
        and weight.ndim == 2
        and x.ndim > 0
        and x.shape[-1] == weight.shape[1]
        and (bias is None or bias.shape == weight.shape[:1])
    )


@contextmanager
def lean_optimizers() -> Iterator[None]:
    """Inside, the methods of optimizers load no compiler in order to be kept from it; once it is there they are.

    `torch._disable_dynamo` asks the method for what it is to call; where it asks no more, all is as ever. Afterwards
    torch's methods are as they were; a context inside another leaves them to the outer one.
    """
    patched: list[tuple[Any, object]] = []
    for name in OPTIMIZER_METHODS:
        method = getattr(Optimizer, name)
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and getattr(plain, KEPT, None) is None:
            lean = _until_compiled(method, plain)
            setattr(plain, KEPT, lean)
            patched.append((plain, lean))
    try:
        yield
    finally:
        for plain, ours in patched:
            if getattr(plain, KEPT, None) is ours:  # it is torch's own once the compiler is there
                delattr(plain, KEPT)


OPTIMIZER_METHODS = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
KEPT = "__dynamo_disable"
"""The attribute in which torch keeps what a method that is kept from the compiler calls."""


def _until_compiled(method: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    def lean(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return plain(*args, **kwargs)
        with suppress(AttributeError):  # another thread may have been as quick
            delattr(plain, KEPT)
        return method(*args, **kwargs)

    return lean


def lean_step(optimizer: Optimizer) -> Callable[[], object]:
    """What computes as `optimizer.step()` does, without a label for the profiler and without loading the compiler.

    It is the step itself where a hook waits for it or a class wraps it on its own.
    """
    step = type(optimizer).step
    hooks = [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    hooks += [_global_optimizer_pre_hooks, _global_optimizer_post_hooks]
    if any(hooks) or not _is_wrapped_by(Optimizer.profile_hook_step, step):
        return optimizer.step
    inner = step.__wrapped__  # type: ignore[attr-defined]  # set by functools.wraps
    if not _is_wrapped_by(_use_grad_for_differentiable, inner) or optimizer.defaults.get("differentiable"):
        return partial(inner, optimizer)
    return partial(torch.no_grad()(inner.__wrapped__), optimizer)


def step_first(optimizer: Optimizer) -> None:
    """`optimizer.step()`, which makes its state where there is none; schedulers see that it went before them."""
    lean_step(optimizer)()
    optimizer._opt_called = True  # type: ignore[attr-defined]  # as the step does that a scheduler has wrapped


def _is_wrapped_by(wrap: Callable[[Any], Any], method: Any) -> bool:
    return getattr(method, "__code__", None) is wrap(method).__code__
