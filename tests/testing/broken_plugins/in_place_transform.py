"""Fault: what is learned of the rows is learned in their memory, which is the data set's."""

import torch

from annpipe import transform


@transform(name="centred")
class Centred(torch.nn.Module):
    """Takes the mean of each column away."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        self.mean = x.mean(0)
        x -= self.mean  # fault

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - self.mean
