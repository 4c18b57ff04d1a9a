"""A plugin whose parameter has no type."""

import torch

from annpipe import layer


@layer
class Stretch(torch.nn.Module):
    """x times a factor."""

    def __init__(self, factor=2.0) -> None:  # type: ignore[no-untyped-def]  # this is the mistake
        super().__init__()
        self.factor = factor
