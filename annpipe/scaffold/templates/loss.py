"""A loss: of a prediction and a target, one number."""

from typing import Annotated

import torch
from pydantic import Field

from annpipe import loss


@loss
class PinballLoss(torch.nn.Module):
    """The pinball loss, least at the given quantile (Koenker and Bassett, 1978)."""

    def __init__(self, quantile: Annotated[float, Field(gt=0, lt=1, description="The quantile to fit.")] = 0.5) -> None:
        super().__init__()
        self.quantile = quantile

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        missing = target - prediction
        return torch.maximum(self.quantile * missing, (self.quantile - 1) * missing).mean()
