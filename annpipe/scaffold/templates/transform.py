"""A transform: fitted on the columns of the train split, then part of the model."""

import torch

from annpipe import transform


@transform(name="max_abs")
class MaxAbs(torch.nn.Module):
    """Divides each column by its largest absolute value."""

    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(0, dtype=torch.float64))

    def fit(self, x: torch.Tensor) -> None:
        self.scale = x.nan_to_num().abs().amax(0).clamp(min=1e-12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / self.scale

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        return y * self.scale
