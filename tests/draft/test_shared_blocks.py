"""Blocks and repetitions whose weights are the same at every use: held against plain torch."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from annpipe.cli.views.plan import show_plan
from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.cost import memory, multiply_adds
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.parts import build_model

REST = """
version: 1
name: t
data: {table: {inputs: {a: [0, 1], b: [1, 0]}, targets: {y: [1, 3]}}}
loss: MSELoss
optimizer: Adam
train: {epochs: 1}
"""
TWICE = """
blocks:
  encoder: [Linear: 2, Tanh]
model: [shared: encoder, residual: [shared: encoder, encoder], shared: encoder, Linear: 1]
"""
REPEATED = "model: [Linear: 4, repeat: {times: 3, layers: [Linear: 4, Tanh], share: true}, Linear: 1]\n"


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """The plan of a spec's blocks and model."""

    def plan(text: str, *overrides: str) -> Plan:
        (tmp_path / "s.yaml").write_text(REST + text, encoding="utf-8")
        return resolve(draft(load_spec(tmp_path / "s.yaml", overrides), Registry.installed()))

    return plan


class Twice(nn.Module):
    """The same in plain torch."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.own = nn.Linear(2, 2), nn.Linear(2, 2)
        self.last = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.encoder(x).tanh()
        x = x + self.own(self.encoder(x).tanh()).tanh()
        return self.last(self.encoder(x).tanh())


def test_every_use_has_the_same_weights(plan: Any) -> None:
    """One module at each place, its parameters under the name of the first; a use by name has weights of its own."""
    made = plan(TWICE)
    model = build_model(made)
    assert list(dict(model.named_parameters())) == [
        *("encoder.0.weight", "encoder.0.bias", "1.layers.encoder_2.0.weight", "1.layers.encoder_2.0.bias"),
        *("3.weight", "3.bias"),
    ]
    assert model.encoder is model[1].layers[0] is model[2]
    theirs = Twice()
    for mine, its in zip(model.parameters(), theirs.parameters(), strict=True):
        its.data = mine.detach().clone()
    x = torch.randn(5, 2)
    assert torch.equal(model(x), theirs(x))
    for network in (model, theirs):
        optimizer = torch.optim.Adam(network.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            network(x).square().sum().backward()
            optimizer.step()
    for mine, its in zip(model.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, its, atol=1e-7)


def test_a_copy_shares_as_the_model_does(plan: Any) -> None:
    """As averages and trial steps make it; and its state is that of the model."""
    model = build_model(plan(TWICE))
    other = copy.deepcopy(model)
    assert other.encoder is other[2]
    assert len(list(other.parameters())) == len(list(model.parameters()))
    assert torch.equal(torch.func.functional_call(model, dict(model.named_parameters()), torch.ones(3, 2)),
                       model(torch.ones(3, 2)))  # fmt: skip


def test_shared_parameters_are_counted_once_and_computed_each_time(plan: Any) -> None:
    """6 in the encoder, 6 in the block of its own, 3 in the last layer; products at each of five uses."""
    made = plan(TWICE)
    model = build_model(made)
    assert [layer.parameters for layer in made.model] == [6, 6, 0, 3]
    assert made.n_parameters == sum(parameter.numel() for parameter in model.parameters()) == 15
    assert memory(made).optimizer == 2 * 15 * 4
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(7, 2))
    assert sum(multiply_adds(layer) for layer in made.model) * 14 == counter.get_total_flops()
    assert 'shared {block: "encoder"}' in show_plan(made)


@pytest.mark.parametrize("text", [TWICE, REPEATED])
def test_a_plan_with_shared_weights_is_the_plan_of_its_own_yaml(text: str, plan: Any, tmp_path: Path) -> None:
    """Blocks stand there once, their uses by name."""
    made = plan(text)
    (tmp_path / "again.yaml").write_text(made.to_yaml(), encoding="utf-8")
    again = resolve(draft(load_spec(tmp_path / "again.yaml"), Registry.installed()))
    assert replace(again, file=made.file) == made
    assert again.digest == made.digest
    other = text.replace("shared: encoder", "encoder").replace("true", "false")
    assert made.digest != plan(other).digest


def test_init_and_freeze_know_shared_weights_by_their_first_name(plan: Any) -> None:
    """What is frozen at one place is frozen at all."""
    text = TWICE.replace("model: [", "model:\n  layers: [") + "  init: {encoder.0.weight: {constant_: 2}}\n"
    made = plan(text + "  freeze: [encoder]\n")
    assert made.n_frozen == 6
    model = build_model(made)
    assert (model[2][0].weight == 2).all()
    assert not model[1].layers[0][0].bias.requires_grad
    with pytest.raises(SpecError, match="no parameter of the model is meant by 'encoder_2'"):
        plan(text + "  freeze: [encoder_2]\n")


def test_a_repetition_may_share_its_weights(plan: Any) -> None:
    """One stack, run three times."""
    made = plan(REPEATED)
    model = build_model(made)
    assert [layer.parameters for layer in made.model] == [12, 20, 5]
    assert [layer.parameters for layer in made.model[1].inside] == [20, 0, 0, 0, 0, 0]
    x = torch.randn(5, 2)
    inner = model[1].layers[0]
    assert torch.equal(model(x), model[2](inner(inner(inner(model[0](x)).tanh()).tanh()).tanh()))
    assert multiply_adds(made.model[1]) == 3 * 16
    apart = plan(REPEATED.replace("true", "false"))
    assert memory(made).activations == memory(apart).activations


def test_a_shared_block_may_hold_another_one(plan: Any) -> None:
    """And one that is used by its name shares what it shares."""
    made = plan(
        "blocks: {inner: [Linear: 2], outer: [shared: inner, Tanh], other: [shared: outer, shared: inner]}\n"
        "model: [other, outer, Linear: 1]\n"
    )
    model = build_model(made)
    assert made.n_parameters == sum(parameter.numel() for parameter in model.parameters()) == 6 + 3
    assert model.other.outer.inner is model.other.inner is model.outer.inner


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blocks: {a: [shared: a]}\nmodel: [a, Linear: 1]\n", "the block 'a' holds itself: a -> a"),
        ("blocks: {a: [Linear: 3]}\nmodel: [shared: a, shared: a, Linear: 1]\n", "(rows, 3) arrives here, (rows, 2)"),
        ("model: [repeat: {times: 2, layers: [Linear: 3], share: true}, Linear: 1]\n", "shares its weights"),
        ("blocks: {abc: [Linear: 3]}\nmodel: [abc, shared: abd, Linear: 1]\n", "there is no block 'abd'"),
        ("model: [shared: ReLU, Linear: 1]\n", "there is no block 'ReLU'"),
        ("blocks: {a: [ReLU]}\nmodel: [shared: {block: a, stack: [ReLU]}, Linear: 1]\n", "has no option 'stack'"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_refused(text: str, said: str, plan: Any) -> None:
    with pytest.raises(SpecError) as caught:
        plan(text)
    assert said in caught.value.problems[0].message
