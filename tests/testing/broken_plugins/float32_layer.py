"""Fault: what leaves the layer is float32, whatever arrives."""

import torch

from annpipe import layer


@layer
class Rounded(torch.nn.Module):
    """Scales numbers by a learned factor that begins with `begin`."""

    def __init__(self, begin: float = 1.0) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(begin))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.factor).float()  # fault
