"""A whole model as one layer: fixed waves of the inputs, and a learned sum of them."""

from typing import Annotated

import torch
from pydantic import Field

from annpipe import layer


@layer(name="fourier_net")
class FourierNet(torch.nn.Module):
    """A linear map of random Fourier features (Rahimi and Recht, 2007).

    The inputs (rows, in_features) become `waves` cosines with random directions and phases, which stay as they are;
    what is learned is their sum, (rows, outputs).
    """

    def __init__(
        self,
        waves: Annotated[int, Field(gt=0, description="how many cosines")] = 256,
        pitch: Annotated[float, Field(gt=0, description="standard deviation of their frequencies")] = 1.0,
        outputs: Annotated[int, Field(gt=0, description="numbers that leave")] = 1,
        *,
        in_features: int,
    ) -> None:
        super().__init__()
        self.register_buffer("directions", pitch * torch.randn(in_features, waves))
        self.register_buffer("phases", 2 * torch.pi * torch.rand(waves))
        self.sum = torch.nn.Linear(waves, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.sum(torch.cos(x @ self.directions + self.phases))
