"""Tapped values live for one pass, in one thread, and in one model."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn

from annpipe.portable.taps import TappedStack, Taps


class Tap(nn.Module):
    """Keeps what passes."""

    def __init__(self, taps: Taps) -> None:
        super().__init__()
        self.taps = taps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.taps.values["x"] = x
        return x


class Read(Tap):
    """Adds what was kept."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.taps.value("x")


def test_a_value_is_read_further_on_and_dropped_after_the_pass() -> None:
    taps = Taps()
    model = TappedStack(Tap(taps), nn.Tanh(), Read(taps))
    x = torch.tensor([0.5])
    assert torch.equal(model(x), x.tanh() + x)
    assert taps.values == {}
    with pytest.raises(RuntimeError, match="the tap 'x' has no value yet"):
        taps.value("x")


def test_a_value_is_dropped_where_the_pass_fails() -> None:
    taps = Taps()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        TappedStack(Tap(taps), nn.Linear(3, 1))(torch.zeros(1, 2))
    assert taps.values == {}


def test_threads_and_copies_have_values_of_their_own() -> None:
    taps = Taps()
    taps.values["x"] = torch.zeros(1)
    seen_elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: seen_elsewhere.append(len(taps.values)))
    thread.start()
    thread.join()
    assert seen_elsewhere == [0]
    assert copy.deepcopy(taps).values == {}
