"""Fault: the number of steps is an attribute, and not in the state: a resumed run begins its warm-up again."""

from typing import Any

import torch

from annpipe import optimizer


@optimizer
class WarmSGD(torch.optim.Optimizer):
    """Gradient descent whose rate rises to `lr` over `warm` steps."""

    def __init__(self, lr: float = 0.01, warm: int = 20, *, params: Any) -> None:
        super().__init__(params, {"lr": lr})
        self.warm = warm
        self.n_steps = 0  # fault

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        self.n_steps += 1
        share = min(1.0, self.n_steps / self.warm)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-group["lr"] * share)
