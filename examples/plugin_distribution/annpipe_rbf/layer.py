"""The layer `RadialBasis`."""

from typing import Annotated

import torch
from pydantic import Field

from annpipe import layer


@layer
class RadialBasis(torch.nn.Module):
    """exp(-|x - c|² / 2w²) for learnt centres c and widths w (Broomhead and Lowe, 1988).

    **Shape:** (rows, in_features) -> (rows, centres).
    """

    def __init__(
        self,
        centres: Annotated[int, Field(gt=0, description="How many bells.")],
        width: Annotated[float, Field(gt=0, description="How wide each bell is at first.")] = 1.0,
        *,
        in_features: int,
    ) -> None:
        super().__init__()
        self.centres = torch.nn.Parameter(torch.randn(centres, in_features))
        self.log_width = torch.nn.Parameter(torch.full((centres,), width).log())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squared = (x[:, None, :] - self.centres).square().sum(2)  # (rows, 1, in) - (centres, in) -> (rows, centres)
        return torch.exp(-squared / (2 * torch.exp(2 * self.log_width)))
