"""Another layer of the same name."""

import torch

from annpipe import layer


@layer
class Swish(torch.nn.SiLU):
    """torch's own."""
