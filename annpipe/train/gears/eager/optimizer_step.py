"""Steps an optimizer at the least cost: by the same kernels on the same tensors as `optimizer.step()`, bit for bit.

A step of a small network takes half a millisecond, and a tenth of that goes into what `optimizer.step()` does around
its kernel: a label for the profiler, lists of tensors gathered anew, a Python number made into a tensor for each
parameter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from annpipe.backend.torch_classes import facts_of
from annpipe.backend.torch_shortcuts import lean_step, step_first


class QuickStep:
    """Calling it is `optimizer.step()`. The first call, and the first after a state was loaded, is torch's own step:
    it makes the state, and a scheduler sees that the optimizer went first."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._known_state: object = None
        self._quick: Callable[[], object] = optimizer.step

    def __call__(self) -> None:
        if self._optimizer.state is self._known_state:
            self._quick()
            return
        step_first(self._optimizer)
        self._known_state = self._optimizer.state  # load_state_dict puts another in its place
        self._quick = quickest(self._optimizer)


def quickest(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """The cheapest call that equals `optimizer.step()` for an optimizer that has stepped before.

    It is the step itself where a hook waits for it or a class wraps it on its own.
    """
    lean = lean_step(optimizer)
    return _fused_adam(optimizer) if lean != optimizer.step and _is_plain_fused_adam(optimizer) else lean


def _is_plain_fused_adam(optimizer: torch.optim.Optimizer) -> bool:
    """Torch's own Adam or AdamW on the CPU, one group, with a state for each parameter."""
    if not facts_of(optimizer).is_fused_adam or len(optimizer.param_groups) != 1:
        return False
    group = optimizer.param_groups[0]
    kinds = {(parameter.device.type, parameter.dtype) for parameter in group["params"]}
    return (
        bool(group["fused"])
        and kinds in ({("cpu", torch.float32)}, {("cpu", torch.float64)})
        and isinstance(group["lr"], float)
        and all(parameter in optimizer.state for parameter in group["params"])
    )


def _fused_adam(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """What `torch.optim.adam._fused_adam` does, on lists that are gathered once."""
    group = optimizer.param_groups[0]
    parameters = group["params"]
    states = [optimizer.state[parameter] for parameter in parameters]
    averages, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
    largest = [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else []
    ones = [torch.ones_like(steps[0])] * len(steps)
    kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_

    @torch.no_grad()
    def step() -> None:
        gradients = [parameter.grad for parameter in parameters]
        if any(gradient is None for gradient in gradients):  # a parameter that this step did not use stays as it is
            optimizer.step()
            return
        torch._foreach_add_(steps, ones)
        beta1, beta2 = group["betas"]
        kernel(
            parameters,
            gradients,
            averages,
            squares,
            largest,
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )

    return step
