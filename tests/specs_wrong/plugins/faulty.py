"""Layers that break what a layer promises."""

import torch

from annpipe import layer


@layer
class Faulty(torch.nn.Module):
    """Uses an attribute that it never set."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = x * self.scale
        return scaled


@layer
class Choosy(torch.nn.Module):
    """Refuses an option."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        if size % 2 == 0:
            raise ValueError("size must be odd")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@layer
class Wordy(torch.nn.Module):
    """Gives a word."""

    def forward(self, x: torch.Tensor) -> str:
        return f"{len(x)} rows"
