"""Fault: the weights are float32, and a product with doubles is refused."""

import torch

from annpipe import loss


@loss
class Projected(torch.nn.Module):
    """The mean squared error along fixed directions, `n_directions` of them."""

    def __init__(self, n_directions: int = 3) -> None:
        super().__init__()
        self.n_directions = n_directions

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        directions = torch.ones(prediction.shape[1], self.n_directions, dtype=torch.float32)
        return ((prediction - target) @ directions).square().mean()  # fault
