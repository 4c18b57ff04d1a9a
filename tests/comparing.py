"""Asserts that two runs, or two nested states, are the same: bit for bit, or within a tolerance."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.training import Trained


def hold_state(one: Any, other: Any, tolerance: float, path: str = "") -> None:
    """The same nested state, key by key and kind by kind."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            hold_state(one[key], other[key], tolerance, f"{path}.{key}")
    elif isinstance(one, list | tuple):
        for number, pair in enumerate(zip(one, other, strict=True)):
            hold_state(*pair, tolerance, f"{path}.{number}")
    elif isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), path
        assert torch.allclose(one.double(), other.double(), rtol=tolerance, atol=tolerance), path
    else:
        assert one == (pytest.approx(other, rel=tolerance) if isinstance(one, float) else other), path


def state(run: Any) -> dict[str, torch.Tensor]:
    """The parameters and buffers of a run's model."""
    return dict(run.parts.model.state_dict())


def hold_equal(one: Any, other: Any) -> None:
    """Bit for bit the same model, and the same latest and best values."""
    for name, tensor in state(one).items():
        assert torch.equal(tensor, state(other)[name]), name
    assert one.loop.memory.latest == other.loop.memory.latest
    assert one.loop.memory.best == other.loop.memory.best


def hold_parameters(one: Trained, other: Trained, tolerance: float = 1e-12) -> None:
    assert one.losses == pytest.approx(other.losses, rel=tolerance)
    for mine, its in zip(one.parameters, other.parameters, strict=True):
        assert torch.allclose(mine, its, rtol=tolerance, atol=tolerance)
