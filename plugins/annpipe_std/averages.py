"""Averages of the parameters over the run: torch's own AveragedModel with its two rules."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from annpipe import average

Start = Annotated[float, Field(ge=0, lt=1, description="The share of the run after which averaging begins.")]


@average
class EMA(AveragedModel):
    """The exponential moving average of the parameters, taken in after each step.

    W̄ ← decay · W̄ + (1 - decay) · W (`torch.optim.swa_utils.get_ema_multi_avg_fn`); buffers, as the statistics of
    BatchNorm, are those of the trained model.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        decay: Annotated[float, Field(ge=0, le=1, description="The share of the average that a step leaves.")] = 0.999,
        start: Start = 0.0,
    ) -> None:
        super().__init__(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]  # torch's own


@average(each="epoch", update_bn=True)
class SWA(AveragedModel):
    """Stochastic weight averaging: the equal average of the parameters at the ends of the last epochs.

    Izmailov et al., 2018, arXiv:1803.05407; the statistics of BatchNorm are measured anew for the averaged parameters.
    """

    def __init__(self, model: torch.nn.Module, start: Start = 0.75) -> None:
        super().__init__(model)
