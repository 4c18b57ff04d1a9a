"""Data for sine_lstm.yaml: pieces of sine waves, and the value that comes after each."""

from typing import Annotated

import torch
from pydantic import Field

from annpipe import Dataset, data


@data
def waves(
    rows: Annotated[int, Field(gt=0, description="how many pieces")],
    steps: Annotated[int, Field(gt=0, description="values in each piece")] = 16,
    noise: Annotated[float, Field(ge=0, description="standard deviation of what is added to each value")] = 0.0,
    *,
    generator: torch.Generator,
) -> Dataset:
    """Draws a phase and a pitch for each row: `wave` is (rows, steps, 1), `next` the value after it, (rows,)."""
    phase = 2 * torch.pi * torch.rand(rows, 1, generator=generator, dtype=torch.float64)
    pitch = 0.2 + 0.6 * torch.rand(rows, 1, generator=generator, dtype=torch.float64)
    values = torch.sin(phase + pitch * torch.arange(steps + 1, dtype=torch.float64))
    seen = values[:, :steps] + noise * torch.randn(rows, steps, generator=generator, dtype=torch.float64)
    return Dataset({"wave": seen[:, :, None]}, {"next": values[:, steps]})
