"""Last layers of networks that predict a distribution: they turn any numbers into valid parameters for the loss."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from annpipe import OptionError, layer


@layer(name="mean_variance")
class MeanVariance(torch.nn.Module):
    """Mean and variance of each target out of two numbers: the second through softplus, so that it is positive.

    As for GaussianNLLLoss. **Shape:** (rows, 2 · targets) -> (rows, 2 · targets).
    """

    def __init__(
        self,
        floor: Annotated[float, Field(ge=0, description="the least variance")] = 1e-6,
        *,
        in_features: int,
    ) -> None:
        super().__init__()
        if in_features % 2:
            raise OptionError("in_features", f"it takes two numbers for each target, and its input has {in_features}")
        self.floor = floor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = x.reshape(len(x), -1, 2)  # (rows, 2 · targets) -> (rows, targets, 2)
        means, variances = pairs[..., 0], torch.nn.functional.softplus(pairs[..., 1]) + self.floor
        return torch.stack([means, variances], -1).flatten(1)


@layer(name="quantiles", example={"n": 3})
class Quantiles(torch.nn.Module):
    """Ascending quantiles of each target: the lowest, and positive steps from each to the next (softplus).

    As for a QuantileLoss of several quantiles: they cannot cross.

    **Shape:** (rows, n · targets) -> (rows, n · targets).
    """

    def __init__(
        self,
        n: Annotated[int, Field(ge=2, description="how many quantiles each target has")],
        *,
        in_features: int,
    ) -> None:
        super().__init__()
        if in_features % n:
            raise OptionError("n", f"it takes {n} numbers for each target, and its input has {in_features}")
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = x.reshape(len(x), -1, self.n)  # (rows, n · targets) -> (rows, targets, n)
        steps = torch.cat([outputs[..., :1], torch.nn.functional.softplus(outputs[..., 1:])], -1)
        return steps.cumsum(-1).flatten(1)
