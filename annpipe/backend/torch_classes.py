"""The one table of what annpipe knows of torch's own classes; a test measures each fact with the installed torch.

A class that is not in the table, or a subclass of one that is, is taken for one of which nothing is known: it is run
by torch's own code, member by member where runs are stacked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class ClassFacts:
    """What is known of a class.

    Layers: `is_elementwise` acts on each number alone, without parameters and without chance.

    Losses: `is_pointwise` is the mean or sum of one number for each number; `is_batched` is run for many models as one
    by `vmap`; `compares_labels` has a mean over the weights of the labels that are not ignored, instead of over rows.

    Optimizers: `is_stacked` steps many members by one formula (`train/gears/stacked/optimizers.py`); `is_fused_adam`
    is stepped by torch's fused kernel of Adam.

    `is_manual` of layers and losses: forward and backward are written without autograd (`train/gears/manual`).
    """

    is_elementwise: bool = False
    is_manual: bool = False
    is_pointwise: bool = False
    is_batched: bool = False
    compares_labels: bool = False
    is_stacked: bool = False
    is_fused_adam: bool = False


_ELEMENTWISE = ClassFacts(is_elementwise=True)
_MANUAL_ELEMENTWISE = ClassFacts(is_elementwise=True, is_manual=True)
_POINTWISE = ClassFacts(is_pointwise=True)
_BATCHED_POINTWISE = ClassFacts(is_pointwise=True, is_batched=True)
_MANUAL_POINTWISE = ClassFacts(is_pointwise=True, is_batched=True, is_manual=True)
_STACKED = ClassFacts(is_stacked=True)
_STACKED_ADAM = ClassFacts(is_stacked=True, is_fused_adam=True)

TORCH_CLASSES: Mapping[type, ClassFacts] = {
    nn.Linear: ClassFacts(is_manual=True),
    nn.Dropout: ClassFacts(is_manual=True),
    nn.ReLU: _MANUAL_ELEMENTWISE,
    nn.Tanh: _MANUAL_ELEMENTWISE,
    nn.Sigmoid: _MANUAL_ELEMENTWISE,
    nn.GELU: _MANUAL_ELEMENTWISE,
    nn.SiLU: _MANUAL_ELEMENTWISE,
    nn.LeakyReLU: _MANUAL_ELEMENTWISE,
    nn.ELU: _MANUAL_ELEMENTWISE,
    nn.Softplus: _MANUAL_ELEMENTWISE,
    nn.ReLU6: _ELEMENTWISE,
    nn.CELU: _ELEMENTWISE,
    nn.SELU: _ELEMENTWISE,
    nn.Mish: _ELEMENTWISE,
    nn.Identity: _ELEMENTWISE,
    nn.Hardtanh: _ELEMENTWISE,
    nn.Hardsigmoid: _ELEMENTWISE,
    nn.Hardswish: _ELEMENTWISE,
    nn.LogSigmoid: _ELEMENTWISE,
    nn.Softsign: _ELEMENTWISE,
    nn.Softshrink: _ELEMENTWISE,
    nn.Hardshrink: _ELEMENTWISE,
    nn.Tanhshrink: _ELEMENTWISE,
    nn.Threshold: _ELEMENTWISE,
    nn.MSELoss: _MANUAL_POINTWISE,
    nn.L1Loss: _MANUAL_POINTWISE,
    nn.SmoothL1Loss: _MANUAL_POINTWISE,
    nn.HuberLoss: _MANUAL_POINTWISE,
    nn.BCELoss: _BATCHED_POINTWISE,
    nn.BCEWithLogitsLoss: _BATCHED_POINTWISE,
    nn.PoissonNLLLoss: _BATCHED_POINTWISE,
    nn.SoftMarginLoss: _POINTWISE,
    nn.KLDivLoss: _POINTWISE,
    nn.CrossEntropyLoss: ClassFacts(is_batched=True, compares_labels=True, is_manual=True),
    nn.NLLLoss: ClassFacts(is_batched=True, compares_labels=True),
    torch.optim.SGD: _STACKED,
    torch.optim.Adam: _STACKED_ADAM,
    torch.optim.AdamW: _STACKED_ADAM,
    torch.optim.NAdam: _STACKED,
    torch.optim.RMSprop: _STACKED,
    torch.optim.Adagrad: _STACKED,
}

_UNKNOWN = ClassFacts()


def facts_of(module: object) -> ClassFacts:
    """What is known of the very class of a module or an optimizer; nothing of a subclass."""
    return TORCH_CLASSES.get(type(module), _UNKNOWN)
