"""Fault: nobody reads `slope`."""

import torch

from annpipe import layer


@layer
class Leaky(torch.nn.Module):
    """A rectifier whose negative part has a `slope`."""

    def __init__(
        self,
        slope: float = 0.1,  # fault
    ) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.leaky_relu(x, 0.01)
