"""A layer of one's own."""

import torch

from annpipe import layer


@layer
class Swish(torch.nn.Module):
    """x times its sigmoid, sharpened by beta."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.beta * x)
