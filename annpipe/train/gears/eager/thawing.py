"""Freezes parameters for the first epochs of a run, and thaws each when its epochs have passed.

They are in the optimizer from the start. A parameter without a gradient is passed over by it, without weight decay and
without a state, so that the first step after the thaw is the first that the optimizer takes with it.
"""

from __future__ import annotations

import torch

from annpipe.draft.weights import thawed_after
from annpipe.plan.plan import Plan


class Thawing:
    """The parameters of one model that are frozen for some epochs, with the step before which each is thawed."""

    def __init__(self, plan: Plan, model: torch.nn.Module, steps_per_epoch: int) -> None:
        parameters = dict(model.named_parameters())
        epochs = thawed_after(plan.thaw, plan.freeze, parameters)
        self._steps = [(parameters[name], until * steps_per_epoch) for name, until in epochs.items()]
        self.apply(0)

    def apply(self, step: int) -> bool:
        """Freezes and thaws as it is to be after so many steps; whether anything changed."""
        has_changed = False
        for parameter, thaw_step in self._steps:
            is_trained = step >= thaw_step
            if parameter.requires_grad != is_trained:
                has_changed = True
                parameter.requires_grad_(is_trained)
                parameter.grad = None
        return has_changed
