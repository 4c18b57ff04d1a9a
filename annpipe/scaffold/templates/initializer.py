"""An initializer: fills a parameter in place."""

import torch

from annpipe import initializer


@initializer
def signs_(tensor: torch.Tensor, size: float = 0.1) -> None:
    """Each number is `size` or `-size`, by chance."""
    tensor.bernoulli_(0.5).mul_(2 * size).sub_(size)
