"""Gradients are kept within their limits: of one run as torch does, of a stack as each member's own run does."""

from __future__ import annotations

import math

import pytest
import torch

from annpipe.spec.sections.models import Train
from annpipe.train.clipping import StackedClipping, clip_gradients

LIMITS: list[tuple[float | None, float | None]] = [(None, 0.5), (0.1, None), (0.3, 0.7), (None, None), (1e9, 1e9)]
"""Of each number, and of the norm."""


def train(value: float | None, norm: float | None) -> Train:
    return Train(epochs=1, clip_value=value, clip_norm=norm)


def gradients(n_members: int) -> list[torch.Tensor]:
    """Of two groups, (members, numbers) each."""
    draw = torch.Generator().manual_seed(5)
    return [torch.randn(n_members, width, generator=draw, dtype=torch.float64) for width in (4, 6)]


def parameters_with(rows: list[torch.Tensor]) -> list[torch.nn.Parameter]:
    parameters = [torch.nn.Parameter(torch.zeros_like(row)) for row in rows]
    for parameter, row in zip(parameters, rows, strict=True):
        parameter.grad = row.clone()
    return parameters


def closed_form(rows: list[torch.Tensor], value: float | None, norm: float | None) -> torch.Tensor:
    """All numbers of a member, each within its limit, then scaled to the norm where they go beyond it."""
    numbers = torch.cat(rows).clamp(-(value or math.inf), value or math.inf)
    return numbers * min(1.0, norm / (numbers.norm().item() + 1e-6)) if norm else numbers


@pytest.mark.parametrize(("value", "norm"), LIMITS)
def test_each_number_is_clipped_and_then_the_norm_of_all(value: float | None, norm: float | None) -> None:
    """Over all parameters of the run."""
    rows = [group[0] for group in gradients(1)]
    parameters = parameters_with(rows)
    clip_gradients(parameters, train(value, norm))
    clipped = torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None])
    torch.testing.assert_close(clipped, closed_form(rows, value, norm), rtol=1e-12, atol=0)


def test_each_member_of_a_stack_has_its_own_limits() -> None:
    """Those of its own run; where it has none its gradients stay as they are, bit for bit."""
    stacked = gradients(len(LIMITS))
    before = [group.clone() for group in stacked]
    StackedClipping([train(*limits) for limits in LIMITS]).clip(stacked)
    for member, limits in enumerate(LIMITS):
        rows = [group[member] for group in before]
        expected = closed_form(rows, *limits)
        torch.testing.assert_close(torch.cat([group[member] for group in stacked]), expected, rtol=1e-12, atol=0)
    for member in (3, 4):
        assert all(torch.equal(group[member], own[member]) for group, own in zip(stacked, before, strict=True))


def test_a_member_without_a_limit_may_have_any_gradient() -> None:
    """An infinite norm over no limit is no scale of nan: the numbers that are finite stay."""
    stacked = [torch.tensor([[1.0, math.inf], [3.0, 4.0]])]
    StackedClipping([train(None, None), train(None, 1.0)]).clip(stacked)
    assert stacked[0][0].tolist() == [1.0, math.inf]
    assert stacked[0][1].norm().item() == pytest.approx(1.0, rel=1e-5)


def test_a_stack_without_limits_is_left_alone() -> None:
    """Whatever its gradients."""
    stacked = [torch.full((2, 3), math.inf)]
    StackedClipping([train(None, None)] * 2).clip(stacked)
    assert stacked[0].isinf().all()
