"""An optimizer: steps the parameters as torch's own do."""

from typing import Any

import torch

from annpipe import StackedGroup, StackedOptimizer, optimizer


def all_lions(group: StackedGroup, step: int) -> None:
    momentum, options = group.states["exp_avg"], group.options
    direction = (momentum * options["beta1"]).addcmul_(group.gradient, options["1-beta1"]).sign_()
    group.values.mul_(1 - options["lr"] * options["weight_decay"]).addcmul_(direction, options["lr"], value=-1)
    momentum.mul_(options["beta2"]).addcmul_(group.gradient, options["1-beta2"])


@optimizer
class Lion(torch.optim.Optimizer):
    """The sign of a moving mean of gradients (Chen et al., 2023, arXiv:2302.06675).

    `lr` is the length of a step, `beta1` and `beta2` say how long gradients are remembered in the step and in the
    mean, and `weight_decay` pulls parameters towards 0.
    """

    stacked = StackedOptimizer(all_lions, ("lr", "beta1", "beta2", "weight_decay"), states={"exp_avg": None})

    def __init__(
        self, lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0, *, params: Any
    ) -> None:
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # it calls no closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self.state[parameter].setdefault("exp_avg", torch.zeros_like(parameter))
                direction = (momentum * group["beta1"]).add_(parameter.grad, alpha=1 - group["beta1"]).sign_()
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])
                momentum.mul_(group["beta2"]).add_(parameter.grad, alpha=1 - group["beta2"])
