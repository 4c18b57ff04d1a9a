"""Keeps gradients within the limits of `train.clip_value` and `train.clip_norm`, of one run or of a stack of runs.

A stack has the gradients of each member in one row of a matrix, and so takes the norm of a row at once, where torch
takes the norm of the norms of the parameters: equal but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from annpipe.spec.sections.models import Train


def clip_gradients(parameters: list[torch.nn.Parameter], train: Train) -> None:
    """Clips the gradients of one run in place, as torch does: each number, then the norm of all."""
    if train.clip_value is not None:
        torch.nn.utils.clip_grad_value_(parameters, train.clip_value)
    if train.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(parameters, train.clip_norm)


class StackedClipping:
    """The limits of each member of a stack."""

    def __init__(self, trains: Sequence[Train]) -> None:
        self._value = _limits([train.clip_value for train in trains])
        self._norm = _limits([train.clip_norm for train in trains])

    def clip(self, gradients: Sequence[torch.Tensor]) -> None:
        """Clips the gradients, (members, numbers) a group, in place."""
        if self._value is not None:
            limit = self._value.to(gradients[0])
            for gradient in gradients:
                torch.clamp(gradient, -limit, limit, out=gradient)
        if self._norm is not None:
            limit = self._norm.to(gradients[0])
            norms = torch.stack([torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients])
            total = torch.linalg.vector_norm(norms, dim=0).unsqueeze(1)
            scale = torch.clamp(limit / (total + 1e-6), max=1.0)
            scale = torch.where(limit.isinf(), 1.0, scale)  # no limit at all, whatever the norm
            for gradient in gradients:
                gradient.mul_(scale)


def _limits(limits: Sequence[float | None]) -> torch.Tensor | None:
    """(members, 1) in double precision, infinity where a member has no limit; None where none has one."""
    if all(limit is None for limit in limits):
        return None
    return torch.tensor([[math.inf if limit is None else limit] for limit in limits], dtype=torch.float64)
