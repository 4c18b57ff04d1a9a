"""A distribution to draw inputs or noise from."""

import torch

from annpipe import OptionError, distribution


@distribution
class Triangular(torch.distributions.Distribution):
    """From 0 to `width`, most often `peak`."""

    def __init__(self, width: float = 1.0, peak: float = 0.5) -> None:
        if not 0 < peak < width:
            raise OptionError("peak", f"must lie between 0 and {width}")
        self.width, self.peak = width, peak
        super().__init__(torch.Size(), validate_args=False)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> torch.Tensor:
        u = torch.rand(sample_shape)
        rising = (u * self.width * self.peak).sqrt()
        falling = self.width - ((1 - u) * self.width * (self.width - self.peak)).sqrt()
        return torch.where(u < self.peak / self.width, rising, falling)
