"""A layer: one tensor in, rows first, and one out."""

from typing import Annotated

import torch
from pydantic import Field

from annpipe import layer


@layer
class Swish(torch.nn.Module):
    """x · sigmoid(βx) (Ramachandran et al., 2017, arXiv:1710.05941)."""

    def __init__(self, beta: Annotated[float, Field(gt=0, description="How sharp the bend is.")] = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.beta * x)
