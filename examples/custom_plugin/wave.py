"""Three components of one's own: a layer, a data generator and a loss. See spec.yaml beside this file."""

from typing import Annotated

import torch
from pydantic import Field

from annpipe import Dataset, data, layer, loss


@layer
class Snake(torch.nn.Module):
    """x + sin²(ax) / a, which learns periodic curves (Ziyin et al., 2020, arXiv:2006.08195)."""

    def __init__(self, a: Annotated[float, Field(gt=0, description="Frequency of the wave.")] = 1.0) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(a))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.sin(self.a * x).square() / self.a


@data
def damped_wave(
    rows: Annotated[int, Field(gt=0, description="How many points.")] = 400,
    decay: Annotated[float, Field(ge=0, description="How fast the wave dies out.")] = 0.2,
    *,
    generator: torch.Generator,
) -> Dataset:
    """y = exp(-decay·t)·sin(3t) on t in [0, 10], with a little noise."""
    t = 10 * torch.rand(rows, generator=generator)
    truth = torch.exp(-decay * t) * torch.sin(3 * t)
    noise = 0.05 * torch.randn(rows, generator=generator)
    return Dataset(inputs={"t": t}, targets={"y": truth + noise}, truth={"y": truth})


@loss
class LogCosh(torch.nn.Module):
    """The mean of log cosh(prediction - target): quadratic near zero, linear far away."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        error = prediction - target
        # log cosh e = e + softplus(-2e) - log 2, which does not overflow
        return (error + torch.nn.functional.softplus(-2 * error) - torch.log(torch.tensor(2.0))).mean()
