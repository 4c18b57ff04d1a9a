"""The scheduler that follows a metric: torch's own, with the choice of the metric."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from annpipe import MetricKey, scheduler


@scheduler(steps_on="metric")
class ReduceLROnPlateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """The rate falls when a metric stops improving."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        mode: Annotated[Literal["min", "max"], Field(description="whether the metric should fall or rise")] = "min",
        factor: Annotated[float, Field(ge=0, lt=1, description="what the rate is multiplied by")] = 0.1,
        patience: Annotated[int, Field(ge=0, description="looks without improvement before the rate falls")] = 10,
        threshold: Annotated[float, Field(ge=0, description="the least change that counts as an improvement")] = 1e-4,
        threshold_mode: Annotated[
            Literal["rel", "abs"],
            Field(description="whether the threshold is a share of the best value or a difference"),
        ] = "rel",
        cooldown: Annotated[int, Field(ge=0, description="looks to wait after a fall before counting again")] = 0,
        min_lr: Annotated[float | list[float], Field(ge=0, description="the lowest rate")] = 0,
        eps: Annotated[float, Field(ge=0, description="a fall of the rate smaller than this is left out")] = 1e-8,
        monitor: Annotated[
            MetricKey | None,
            Field(description="the key of the metric to follow; null: val/loss, or train/loss without a val split"),
        ] = None,
    ) -> None:
        super().__init__(optimizer, mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, eps)
