"""Named taps in a plan: held against plain torch, and what a plan tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from annpipe.cli.views.plan import show_plan
from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.cost import memory, multiply_adds
from annpipe.plan.origin import origins
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.parts import build_model

TABLE = """
version: 1
name: t
data: {table: {inputs: {a: [0, 1, 2], b: [1, 0, 2]}, targets: {y: [1, 3, 2]}}}
loss: MSELoss
optimizer: Adam
train: {epochs: 1}
"""
IMAGES = TABLE.replace("table: {inputs: {a: [0, 1, 2], b: [1, 0, 2]}, targets: {y: [1, 3, 2]}}",
                       "npz: {file: ./data.npz, inputs: [image], targets: [y]}")  # fmt: skip
UNET = (
    IMAGES
    + """
blocks:
  one: [Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}, ReLU]
  two: [one, one]
model:
  - two
  - tap: fine
  - MaxPool2d: 2
  - residual: [two, tap: middle]
  - MaxPool2d: 2
  - two
  - ConvTranspose2d: [4, 2, 2]
  - join: middle
  - two
  - ConvTranspose2d: [4, 2, 2]
  - join: {taps: fine, by: add}
  - Flatten
  - Linear: 1
"""
)
DENSE = (
    TABLE
    + """
model:
  - tap: given
  - Linear: 3
  - Tanh
  - tap: first
  - join: given
  - Linear: 4
  - Tanh
  - join: {taps: [given, first]}
  - Linear: 1
"""
)
LOOPED = (
    TABLE
    + """
blocks:
  own: [tap: arrived, Linear: 4, ReLU, join: {taps: arrived, by: mul}]
model:
  - Linear: 4
  - own
  - repeat: {times: 3, layers: [tap: before, Linear: 4, Tanh, join: {taps: before, by: add}, tap: loop]}
  - own
  - parallel: [[tap: left, Linear: 2], [take: left, Linear: 3], [join: loop, Linear: 2]]
  - Linear: 1
"""
)
SHARED = (
    TABLE
    + """
blocks: {own: [tap: arrived, Linear: 2, Tanh, join: {taps: arrived, by: add}]}
model: [shared: own, repeat: {times: 2, layers: [shared: own], share: true}, Linear: 1]
"""
)
SPECS = [UNET, DENSE, LOOPED, SHARED]


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """The plan of a spec."""
    np.savez(tmp_path / "data.npz", image=np.zeros((4, 1, 8, 8), np.float32), y=np.zeros(4, np.float32))

    def plan(text: str, *overrides: str) -> Plan:
        (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
        return resolve(draft(load_spec(tmp_path / "s.yaml", overrides), Registry.installed()))

    return plan


def two(channels: int) -> nn.Sequential:
    """Two convolutions."""
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
    )  # fmt: skip


class TorchUNet(nn.Module):
    """The same network in plain torch."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.inner, self.deep, self.up1 = two(1), two(4), two(4), nn.ConvTranspose2d(4, 4, 2, 2)
        self.joined, self.up2, self.last = two(8), nn.ConvTranspose2d(4, 4, 2, 2), nn.Linear(256, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.fine(x)
        x = self.pool(fine)
        middle = self.inner(x)
        x = self.up1(self.deep(self.pool(x + middle)))
        x = self.up2(self.joined(torch.cat([x, middle], 1)))
        return self.last((x + fine).flatten(1))


class TorchDense(nn.Module):
    """Each layer takes what all before it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(2, 3), nn.Linear(5, 4), nn.Linear(9, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x).tanh()
        second = self.second(torch.cat([first, x], 1)).tanh()
        return self.last(torch.cat([second, x, first], 1))


class TorchLooped(nn.Module):
    """Taps within blocks, within a repetition, from one branch to the next, and out of a repetition."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.own = nn.Linear(2, 4), nn.Linear(4, 4)
        self.loop = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.again, self.left, self.right, self.out = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 3), nn.Linear(8, 2)
        self.last = nn.Linear(7, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.start(x)
        x = self.own(x).relu() * x
        for layer in self.loop:
            x = layer(x).tanh() + x
        loop = x
        x = self.again(x).relu() * x
        return self.last(torch.cat([self.left(x), self.right(x), self.out(torch.cat([x, loop], 1))], 1))


class TorchShared(nn.Module):
    """One block three times."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.last = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = self.own(x).tanh() + x
        return self.last(x)


@pytest.mark.parametrize(
    ("text", "twin"), [(UNET, TorchUNet), (DENSE, TorchDense), (LOOPED, TorchLooped), (SHARED, TorchShared)]
)
def test_a_model_with_taps_computes_what_plain_torch_does(text: str, twin: type[nn.Module], plan: Any) -> None:
    """Outputs and gradients, bit for bit, from the same weights; the plan counts what torch counts."""
    made = plan(text)
    own, other = build_model(made), twin()
    for parameter, source in zip(other.parameters(), own.parameters(), strict=True):
        parameter.data = source.detach().clone()
    x = torch.randn(7, *made.model[0].input_shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own(x), other(x))
    own(x).square().sum().backward()
    other(x).square().sum().backward()
    for mine, its in zip(own.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine.grad, its.grad)
    with FlopCounterMode(display=False) as counter:
        other(x)
    counts = [multiply_adds(layer) for layer in made.model]
    assert sum(count for count in counts if count is not None) * 2 * 7 == counter.get_total_flops()
    assert None not in counts
    assert made.n_parameters == sum(parameter.numel() for parameter in other.parameters())


@pytest.mark.parametrize("text", SPECS)
def test_a_plan_with_taps_is_the_plan_of_its_own_yaml(text: str, plan: Any) -> None:
    """Shapes of taps stand there as they are, and are agreed with."""
    made = plan(text)
    again = plan(made.to_yaml())
    assert again == made
    assert again.digest == made.digest


def test_a_plan_shows_taps_by_name_and_their_shapes(plan: Any) -> None:
    """The shapes of a join are in the columns; values that are only passed on need no memory."""
    made = plan(DENSE)
    lines = show_plan(made).splitlines()
    join = next(line for line in lines if 'taps: ["given", "first"]' in line)
    assert join.split("}")[1].split() == ["(rows,", "4)", "(rows,", "9)", "0", "0"]
    assert "shapes" not in join
    numbers = 2 + 3 + 3 + 5 + 4 + 4 + 9 + 1  # what arrives, and what each layer but the taps gives
    assert memory(made).activations == 3 * 4 * numbers
    taken = plan(TABLE + "model: [tap: x, Linear: 3, tap: y, take: x, Linear: 3, join: {taps: y, by: mul}, Linear: 1]")
    assert memory(taken).activations == 3 * 4 * (2 + 3 + 3 + 3 + 1)


def test_overrides_and_origins_reach_taps(plan: Any, tmp_path: Path) -> None:
    """A tap is an option like any other; shapes come from the shapes."""
    overrides = ("model.7.join.by=add", "model.7.join.taps=other", "model.0=Tanh", "model.3=tap: other",
                 "model.4=Identity", "model.5.Linear.out_features=3")  # fmt: skip
    made = plan(DENSE, *overrides)
    found = {origin.path: origin for origin in origins(made, load_spec(tmp_path / "s.yaml", overrides))}
    assert found["model.7.join.taps"].source == "override"
    assert found["model.7.join.tap_shapes"].source == "shape"
    assert made.model[7].component.options["tap_shapes"] == [[3]]


def test_a_join_follows_the_last_repetition_and_the_layer_before(plan: Any) -> None:
    """Widths that change from one time to the next: the join has the first two dimensions of what it read."""
    made = plan(TABLE + "model: [repeat: {times: 3, layers: [tap: before, Linear: 3, Tanh, join: before]}, Linear: 1]")
    assert [layer.output_shape for layer in made.model[0].inside if layer.component.name == "join"] == [
        (5,),
        (8,),
        (11,),
    ]
    assert plan(made.to_yaml()) == made


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("[Linear: 3, tap: x, Linear: 4, join: {taps: x, by: add}]", "wrong-value",
         "its input is (rows, 4), and 'x' is (rows, 3); `by: add` needs one shape"),
        ("[tap: x, Linear: 4, join: {taps: x, dim: 2}]", "wrong-value", "cannot be joined along dimension 2"),
        ("[tap: x, Linear: 4, join: {taps: x, dim: 1, by: mul}]", "wrong-value", "`by` is mul"),
        ("[tap: x, Unflatten: [1, [2, 1]], join: x]", "wrong-value", "cannot be joined along dimension 2"),
        ("[tap: x, join: {taps: x, tap_shapes: [[3]]}]", "shape", "the shapes [[2]]; its `tap_shapes` says [[3]]"),
        ("[tap: x, join: x, Linear: 4, take: x, Linear: 1]", "tap", "what Linear gives is dropped"),
        ("[repeat: {times: 2, layers: [join: x, Linear: 2, tap: x]}, Linear: 1]", "tap", "is read before it is set"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(model: str, code: str, words: str, plan: Any) -> None:
    """At the layer that reads."""
    with pytest.raises(SpecError) as caught:
        plan(TABLE + f"model: {model}\n")
    assert [problem.code for problem in caught.value.problems] == [code]
    assert words in caught.value.problems[0].message


def test_no_value_stays_behind(plan: Any) -> None:
    """Neither after a run through the model nor after one that failed."""
    model = build_model(plan(DENSE))
    model(torch.ones(3, 2))
    assert not model.taps.values
    with pytest.raises(RuntimeError):
        model(torch.ones(3, 5))
    assert not model.taps.values
    with pytest.raises(RuntimeError, match="the tap 'given' has no value yet"):
        model[4](torch.ones(3, 3))
