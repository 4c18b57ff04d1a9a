"""Which runs can be trained as one stack, and why another goes alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.stacked import eligibility
from annpipe.train.gears.stacked.eligibility import Reasons, stack_key, why_solo
from tests.train.gears.stacks import SPEC, built
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


MOMENTUM, RATES = "optimizer={SGD: {lr: 0.1, momentum: 0.9}}", "base_lr: 0.1, max_lr: 1"


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["train.non_finite=skip"], "train.non_finite: skip"),
        (["optimizer={Adam: {lr: 0.1}, groups: [{params: '*.bias', lr: 0.2}]}"], None),
        ([MOMENTUM, f"scheduler={{CyclicLR: {{{RATES}, base_momentum: 0}}}}"], "a scheduler that takes momentum to 0"),
        ([MOMENTUM, f"scheduler={{CyclicLR: {{{RATES}, base_momentum: 0.1}}}}"], None),
    ],
)
def test_ways_of_training_that_go_alone(overrides: list[str], reason: str | None, planned: Planned) -> None:
    """Known from the plan; a group or a scheduler is none by itself."""
    assert why_solo(planned(SPEC, *overrides)) == reason


LABELS = [0, 1, 0, 2, 1, 2, 0]


@pytest.mark.parametrize(
    ("how", "alone"),
    [
        ("{batch_size: all}", False),
        ("{batch_size: 2, shuffle: true}", True),
        ("{batch_size: 4, shuffle: true}", True),
        ("{batch_size: 4, shuffle: true, drop_last: true}", False),
        ("{batch_size: 1, shuffle: false}", True),
        ("{batch_size: 2, shuffle: false}", True),
        ("{batch_size: 2, shuffle: false, drop_last: true}", False),
    ],
)
def test_a_step_may_have_no_label_that_counts(how: str, alone: bool, planned: Planned, tmp_path: Path) -> None:
    """Three of seven labels are ignored: it depends on the rows of the smallest step, and on which these are."""
    np.savez(tmp_path / "rows.npz", x=np.arange(7.0), y=np.array(LABELS))
    text = SPEC[: SPEC.index("data:")] + SPEC[SPEC.index("model:") :]
    own = [f"data={{npz: {{file: {tmp_path}/rows.npz, inputs: [x], targets: [y]}}}}", "model=[Linear: 3]"]
    loss = "loss={CrossEntropyLoss: {ignore_index: 0}}"
    with computing("float64", deterministic=False):
        run = built(planned(text, *own, loss, f"train={how}", "train.epochs=2"))
    reason = "labels that the loss ignores: a step may have no others" if alone else None
    assert why_solo(run.plan, run.parts) == reason
    assert why_solo(run.plan) is None


def test_with_parts_only_the_shapes_of_the_rows_count(planned: Planned) -> None:
    """Other numbers are the same key; other rows are not."""
    with computing("float64", deterministic=False):
        first, other, fewer = (
            built(planned(SPEC, *own)) for own in ([], ["data.formula.targets.y=a+b"], ["data.formula.rows=28"])
        )
    keys = [stack_key(run.plan, run.parts) for run in (first, other, fewer)]
    assert keys[0] == keys[1] != keys[2]
    assert stack_key(first.plan) != stack_key(other.plan)


def test_layers_of_one_key_are_tried_once(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many runs of a sweep are asked about with one `Reasons`."""
    tried = list[object]()
    monkeypatch.setattr(eligibility, "_layers", tried.append)
    reasons = Reasons()
    for overrides in ([], ["seed=3"], ["optimizer.SGD.lr=0.5"], ["model.0.Linear=9"]):
        assert reasons(planned(SPEC, *overrides)) is None
    assert len(tried) == 2
