"""Fault: the layer clamps the tensor that arrives, which a residual connection around it reads too."""

import torch

from annpipe import layer


@layer
class Clamp(torch.nn.Module):
    """Keeps numbers between `-limit` and `limit`."""

    def __init__(self, limit: float = 0.1) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        low = -self.limit
        x.clamp_(low, self.limit)  # fault
        return x + 0.0
