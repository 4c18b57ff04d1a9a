"""Losses made of losses."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from annpipe import Loss, OptionError, loss


@loss(name="weighted_sum")
class WeightedSum(torch.nn.Module):
    """The sum of several losses on the same predictions and targets, each with its weight."""

    def __init__(
        self,
        losses: Annotated[list[Loss], Field(description="The losses; all compare with values, or all with classes.")],
        weights: Annotated[
            list[float] | None, Field(description="A factor for each of them; null: 1 for each.")
        ] = None,
    ) -> None:
        super().__init__()
        if not losses:
            raise OptionError("losses", "there is no loss in it", help="as in `losses: [MSELoss, L1Loss]`")
        if weights is not None and len(weights) != len(losses):
            message = f"there are {len(losses)} losses and {len(weights)} weights"
            raise OptionError("weights", message, help="give one for each loss")
        self.losses = torch.nn.ModuleList(losses)  # type: ignore[arg-type]  # a loss is a module: its mark says so
        self.weights = weights if weights is not None else [1.0] * len(losses)

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """**Shape:** what each of the losses takes; a scalar comes out."""
        values = [weight * one(prediction, target) for weight, one in zip(self.weights, self.losses, strict=True)]
        return torch.stack(values).sum()
