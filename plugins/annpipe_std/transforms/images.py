"""Transforms of images, (rows, channels, height, width): a scale fitted on the train split, and random changes.

The random ones act on each batch while the model trains, on every row by itself, and do nothing afterwards.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from annpipe import transform


@transform(name="normalize", takes="image")
class Normalize(torch.nn.Module):
    """(x - mean) / standard deviation of each channel over the train split.

    **Shape:** (rows, channels, …) -> the same.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        """Learns mean and deviation of each channel."""
        others = [0, *range(2, x.ndim)]
        shape = (1, -1, *([1] * (x.ndim - 2)))
        deviation = x.std(others, correction=0)
        self.mean = x.mean(others).reshape(shape)
        self.scale = torch.where(deviation > 0, deviation, 1.0).reshape(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.scale


@transform(name="random_flip", takes="image")
class RandomFlip(torch.nn.Module):
    """Mirrors half of the images, or another part of them, while training.

    **Shape:** (rows, channels, height, width) -> the same.
    """

    only_training = True

    def __init__(
        self,
        horizontal: Annotated[bool, Field(description="Whether left and right change places.")] = True,
        vertical: Annotated[bool, Field(description="Whether top and bottom do.")] = False,
        probability: Annotated[float, Field(ge=0, le=1, description="The part of images that is.")] = 0.5,
    ) -> None:
        super().__init__()
        self.dimensions = [dimension for dimension, flips in ((-1, horizontal), (-2, vertical)) if flips]
        self.probability = probability

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        for dimension in self.dimensions:
            chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < self.probability
            x = torch.where(chosen, x.flip(dimension), x)
        return x


@transform(name="random_shift", takes="image")
class RandomShift(torch.nn.Module):
    """Moves each image by up to so many pixels each way while training; what comes in from outside is 0.

    **Shape:** (rows, channels, height, width) -> the same.
    """

    only_training = True

    def __init__(self, pixels: Annotated[int, Field(gt=0, description="The most it moves.")]) -> None:
        super().__init__()
        self.pixels = pixels

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        padded = torch.nn.functional.pad(x, [self.pixels] * 4)
        return _windows(padded, x.shape[-2], x.shape[-1])


@transform(name="random_crop", takes="image")
class RandomCrop(torch.nn.Module):
    """Cuts a square out of each image: anywhere while training, from the middle afterwards.

    **Shape:** (rows, channels, height, width) -> (rows, channels, size, size). Raises ValueError for smaller images.
    """

    only_training = True

    def __init__(self, size: Annotated[int, Field(gt=0, description="Height and width, in pixels.")]) -> None:
        super().__init__()
        self.size = size

    def fit(self, x: torch.Tensor) -> None:
        """Learns nothing; sees whether the images are large enough."""
        if min(x.shape[-2:]) < self.size:
            raise ValueError(f"images of {x.shape[-2]} × {x.shape[-1]} pixels are smaller than a square of {self.size}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            return _windows(x, self.size, self.size)
        top, left = (x.shape[-2] - self.size) // 2, (x.shape[-1] - self.size) // 2
        return x[..., top : top + self.size, left : left + self.size]


def _windows(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A window of each image at a place drawn for it."""
    down = torch.randint(x.shape[-2] - height + 1, (len(x), 1), device=x.device)
    across = torch.randint(x.shape[-1] - width + 1, (len(x), 1), device=x.device)
    lines = (down + torch.arange(height, device=x.device))[:, None, :, None]
    columns = (across + torch.arange(width, device=x.device))[:, None, None, :]
    rows = torch.arange(len(x), device=x.device)[:, None, None, None]
    channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
    return x[rows, channels, lines, columns]
