"""Runs a network and shows each call of a module with its input and output, in the order in which the calls end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module: what it got and gave, of tuples the first tensor.

    `is_inner` tells that no other module was called inside it: the calls without an inner one are the layers.
    """

    name: str
    module: torch.nn.Module
    input: torch.Tensor
    output: torch.Tensor
    is_inner: bool


def watchable(network: torch.nn.Module) -> torch.nn.Module:
    """A copy in evaluation mode, no layer of which overwrites its input."""
    whole = copy.deepcopy(network).eval()
    for module in whole.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010  # to a type checker, a module has tensors and modules only
    return whole


def run_watched(network: torch.nn.Module, x: torch.Tensor, on_call: Callable[[ModuleCall], None]) -> torch.Tensor:
    """The output for x, (rows, …); `on_call` gets each call as it ends. The network is one of `watchable`."""
    n_called = [0]  # for each call that has not ended, how many ended inside it
    names = {module: name for name, module in network.named_modules()}

    def before(module: torch.nn.Module, inputs: Any) -> None:
        n_called.append(0)

    def after(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        n_inside = n_called.pop()
        n_called[-1] += 1
        first_input, first_output = first_tensor(inputs), first_tensor(output)
        if first_input is not None and first_output is not None:
            on_call(ModuleCall(names[module], module, first_input, first_output, n_inside == 0))

    hooks = [module.register_forward_pre_hook(before) for module in network.modules() if module is not network]
    hooks += [module.register_forward_hook(after) for module in network.modules() if module is not network]
    try:
        output: torch.Tensor = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return output


def first_tensor(value: Any) -> torch.Tensor | None:
    """The value itself where it is a tensor, or the first tensor in a tuple or list; None where there is none."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, tuple | list):
        return next((tensor for item in value if (tensor := first_tensor(item)) is not None), None)
    return None
