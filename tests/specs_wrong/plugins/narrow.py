"""A layer that asks for a size by a name that annpipe does not give, beside one that has no mark."""

import torch

from annpipe import layer


@layer
class Narrow(torch.nn.Linear):
    def __init__(self, width: int, in_feature: int) -> None:
        super().__init__(in_feature, width)


class Wide(torch.nn.Linear): ...
