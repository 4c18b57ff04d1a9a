"""A layer of the user's own."""

from typing import Annotated

import torch
from pydantic import Field

from annpipe import layer


@layer
class Snake(torch.nn.Module):
    """x + sin²(ax) / a (Ziyin et al., 2020, arXiv:2006.08195)."""

    def __init__(self, a: Annotated[float, Field(gt=0, description="Frequency of the wave.")] = 1.0) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(a))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(self.a * x).square() / self.a
