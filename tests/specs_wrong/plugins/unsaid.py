"""A plugin whose parameter has a type that YAML cannot say."""

from collections.abc import Callable

import torch

from annpipe import layer


@layer
class Apply(torch.nn.Module):
    """f(x)."""

    def __init__(
        self,
        f: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        super().__init__()
        self.f = f
