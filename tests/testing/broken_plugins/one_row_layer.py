"""Fault: a batch of one row loses its first dimension."""

import torch

from annpipe import layer


@layer
class Centred(torch.nn.Module):
    """Takes the mean of each row from its numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # fault
        return (x - x.mean(1, keepdim=True)).squeeze()
