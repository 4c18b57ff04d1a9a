"""A plugin that takes a name that exists."""

import torch

from annpipe import layer


@layer
class ReLU(torch.nn.Module):
    """Not torch's."""
