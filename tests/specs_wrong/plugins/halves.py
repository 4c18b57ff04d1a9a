"""Components that do half of what their kinds must."""

from __future__ import annotations

from typing import Any

import torch

from annpipe import (
    Look,
    RunView,
    average,
    callback,
    distribution,
    initializer,
    layer,
    loss,
    metric,
    optimizer,
    plot,
    scheduler,
    transform,
)


@metric
class Worst:
    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None: ...

    def computed(self) -> float:
        return 0.0


@metric
class Silent:
    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None: ...

    def compute(self) -> Any:
        float(1)


@callback
class Deaf:
    def on_epoch(self, look: Look) -> None: ...


@callback
class Narrow:
    def on_look(self) -> None: ...


@callback
class Forgetful:
    def on_look(self, look: Look) -> None: ...

    def state_dict(self) -> dict[str, int]:
        return {}


@scheduler
class Baseless(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, *, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def get_lr(self) -> list[float]:
        return [0.1]


@scheduler
class Still(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, *, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer)


@optimizer
class Stuck(torch.optim.Optimizer):
    def __init__(self, lr: float = 0.1, *, params: Any) -> None:
        super().__init__(params, {"lr": lr})


@loss
class PerRow(torch.nn.Module):
    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (prediction - target).abs()


@layer
class Bodiless(torch.nn.Module):
    def foward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@initializer
def halves(tensor: torch.Tensor) -> torch.Tensor:
    return torch.full_like(tensor, 0.5)


@average
class NoAverage(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()


@distribution
class Sampleless(torch.distributions.Distribution):
    def __init__(self) -> None:
        super().__init__(validate_args=False)


@plot
def undrawn(view: RunView) -> Any:
    view.predict(view.train.inputs)


@transform
class Unfitted(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@transform
class DropsAll(torch.nn.Module):
    def fit(self, x: torch.Tensor) -> None: ...

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :0]
