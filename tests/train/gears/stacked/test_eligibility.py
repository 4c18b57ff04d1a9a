"""Which runs can be trained as one stack, and why another goes alone."""

from __future__ import annotations

import re

import pytest
import torch

from annpipe.train.gears.stacked.eligibility import stack_key, why_solo
from tests.train.gears.stacks import SPEC
from tests.training import Planned

MODEST = """
import torch
from annpipe import layer

@layer
class Modest(torch.nn.Module):
    stacks = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x
"""


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("optimizer=LBFGS", "LBFGS"),
        ("device.autocast=bfloat16", "autocast"),
        ("optimizer={Adam: {lr: 0.1, capturable: true}}", "capturable"),
    ],
)
def test_what_cannot_be_stacked_says_why(override: str, reason: str, planned: Planned) -> None:
    """In a few words, before any data are made."""
    told = why_solo(planned(SPEC, override))
    assert told is not None
    assert re.search(reason, told), told


def test_a_plugin_says_that_it_cannot_be_stacked(planned: Planned) -> None:
    """By an attribute of its class."""
    plan = planned(SPEC, "plugins=[modest.py]", "model=[Linear: 3, Modest, Linear: 1]", modest=MODEST)
    assert why_solo(plan) == "the layer Modest, which says `stacks = False`"


def test_what_differs_in_structure_has_another_key(planned: Planned) -> None:
    """And what differs in values has not."""
    same = ["seed=3", "optimizer.SGD.lr=0.7", "optimizer.SGD.weight_decay=0.1", "train.epochs=7", "metrics=[R2Score]"]
    other = [
        "model.0.Linear=8",
        "loss=L1Loss",
        "optimizer={Adam: {lr: 0.05}}",
        "optimizer.SGD.momentum=0.9",
        "train.batch_size=9",
        "device.precision=float32",
        "data.formula.rows=28",
    ]
    key = stack_key(planned(SPEC))
    assert {stack_key(planned(SPEC, one)) for one in same} == {key}
    assert len({key, *(stack_key(planned(SPEC, one)) for one in other)}) == len(other) + 1


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("[Linear: 4, residual: {layers: [Dropout: 0.5]}, Linear: 1]", "the layer residual, which draws on the device"),
        ("[Linear: 4, Dropout: 0.5, Linear: 1]", "the layer Dropout, which draws on the device"),
        ("[Linear: 4, BatchNorm1d, Linear: 1]", None),
    ],
)
def test_what_draws_on_an_accelerator_goes_alone(
    model: str, reason: str | None, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member's stream is one of the processor; no device is touched to find it out."""
    monkeypatch.setattr("annpipe.train.gears.stacked.eligibility.find_device", lambda word: torch.device("cuda"))
    assert why_solo(planned(SPEC, f"model={model}")) == reason
