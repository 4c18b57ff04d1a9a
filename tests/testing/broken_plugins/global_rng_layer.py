"""Fault: the noise of training comes from NumPy's global generator, which no checkpoint keeps."""

import numpy as np
import torch

from annpipe import layer


@layer
class NumpyNoise(torch.nn.Module):
    """Adds noise of a standard deviation of `scale` while training."""

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        noise = torch.as_tensor(np.random.standard_normal(tuple(x.shape)), dtype=x.dtype)  # fault
        return x + self.scale * noise
