"""Fault: the noise is drawn from torch's global generator, and not from `generator`."""

import torch

from annpipe import Dataset, data


@data
def noisy_line(rows: int = 20, *, generator: torch.Generator) -> Dataset:
    """A line of `rows` points, with noise."""
    x = torch.rand(rows, generator=generator, dtype=torch.float64)
    noise = 0.1 * torch.randn(rows, dtype=torch.float64)  # fault
    return Dataset({"x": x}, {"y": 2 * x + noise})
