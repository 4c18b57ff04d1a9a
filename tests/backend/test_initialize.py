"""How parameters begin, and which are not trained: held against plain torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from annpipe.backend.device import computing
from annpipe.backend.streams import drawing
from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.parts import Parts, build, build_model
from annpipe.train.schedule import schedule

REST = """
version: 1
name: t
seed: 3
device: {type: cpu, threads: 1}
data: {formula: {rows: 32, inputs: {a: {Uniform: [-1, 1]}, b: {Uniform: [-1, 1]}}, targets: {y: a*b}}}
loss: MSELoss
optimizer: {SGD: {lr: 0.1, momentum: 0.9}}
train: {epochs: 10}
"""
LAYERS = "[Linear: 6, BatchNorm1d, ReLU, residual: [Linear: 6, Tanh], Linear: 1]"


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    def plan(model: str, *overrides: str, more: str = "") -> Plan:
        (tmp_path / "s.yaml").write_text(f"{REST}{more}model: {model}\n", encoding="utf-8")
        return resolve(draft(load_spec(tmp_path / "s.yaml", overrides), Registry.installed()))

    return plan


def torch_network() -> nn.Sequential:
    """The parameters of LAYERS in plain torch, in the same order."""
    return nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 1))


def test_parameters_begin_as_torchs_own_functions_fill_them(plan: Any) -> None:
    """In the model's order, each by the first pattern that means it, from the stream `init`."""
    init = (
        "{4.weight: {xavier_uniform_: 0.5}, bias: zeros_, '1': ones_, weight: {kaiming_normal_: {nonlinearity: relu}}}"
    )
    model = build_model(plan(f"{{layers: {LAYERS}, init: {init}}}"))
    with drawing(3, "init"):
        expected = torch_network()
        nn.init.kaiming_normal_(expected[0].weight, nonlinearity="relu")
        nn.init.kaiming_normal_(expected[3].weight, nonlinearity="relu")
        nn.init.xavier_uniform_(expected[4].weight, gain=0.5)
    for part in (0, 1, 3, 4):
        nn.init.zeros_(expected[part].bias)
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_every_initializer_of_torch_fills_a_matrix(plan: Any) -> None:
    """All but the one for convolutions; those that need a value get one."""
    needs = {"constant_": "{constant_: 0.25}", "sparse_": "{sparse_: 0.5}"}
    names = [entry.name for entry in Registry.installed().entries("initializer")]
    assert len(names) == 14
    for name in sorted(set(names) - {"dirac_"}):
        made = plan(f"{{layers: [Linear: 3, Tanh, Linear: 1], init: {{0.weight: {needs.get(name, name)}}}}}")
        options = {"constant_": {"val": 0.25}, "sparse_": {"sparsity": 0.5}}.get(name, {})
        with drawing(3, "init"):
            expected = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
            getattr(nn.init, name)(expected[0].weight, **options)
        assert torch.equal(build_model(made)[0].weight, expected[0].weight), name
    made = plan("{layers: [Unflatten: [1, [2, 1]], Conv1d: [2, 1], Flatten, Linear: 1], init: {1.weight: dirac_}}")
    assert torch.equal(build_model(made)[1].weight[:, :, 0], torch.eye(2))


def trained(plan: Plan) -> tuple[Parts, dict[str, torch.Tensor]]:
    """The parts after ten steps, and the parameters before."""
    with computing("float32", deterministic=False) as dtype:
        parts = build(plan, torch.device("cpu"), dtype)
        before = {name: parameter.detach().clone() for name, parameter in parts.model.named_parameters()}
        Eager(plan, parts, schedule(plan, 32)).advance(10)
    return parts, before


def test_what_is_frozen_stays_and_the_rest_goes_as_in_plain_torch(plan: Any) -> None:
    """Ten steps of SGD with momentum, the frozen parameters in no group of the optimizer."""
    made = plan("{layers: [Linear: 6, ReLU, Linear: 6, Tanh, Linear: 1], freeze: ['0', 2.bias]}")
    assert (made.n_parameters, made.n_frozen) == (67, 24)
    parts, before = trained(made)
    after = dict(parts.model.named_parameters())
    assert sorted(name for name in after if torch.equal(after[name], before[name])) == ["0.bias", "0.weight", "2.bias"]
    held = [parameter for group in parts.optimizer.param_groups for parameter in group["params"]]
    assert {id(p) for p in held} == {id(after[name]) for name in ("2.weight", "4.weight", "4.bias")}

    theirs = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 1))
    theirs.load_state_dict(before)
    optimizer = torch.optim.SGD([theirs[2].weight, *theirs[4].parameters()], lr=0.1, momentum=0.9)
    rows = parts.rows["train"]
    for _ in range(10):
        optimizer.zero_grad()
        nn.functional.mse_loss(theirs(rows.x), rows.y).backward()
        optimizer.step()
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(after[name], parameter, rtol=1e-6, atol=1e-6)


def test_blocks_are_frozen_and_begun_by_their_names(plan: Any) -> None:
    """Every use whose name it is, and the second by its own."""
    blocks = "blocks: {encoder: [Linear: 4, ReLU]}\n"
    model = "{layers: [encoder, encoder, Linear: 1], init: {encoder_2.0.weight: eye_}, freeze: [encoder]}"
    made = plan(model, more=blocks)
    assert made.n_frozen == 12
    assert torch.equal(build_model(made).encoder_2[0].weight, torch.eye(4))
    assert [p.requires_grad for p in build_model(made).parameters()] == [False, False, True, True, True, True]


def test_a_plan_with_both_is_the_plan_of_its_own_yaml(plan: Any, tmp_path: Path) -> None:
    """Numbers of layers come back as the words that they are."""
    made = plan(f"{{layers: {LAYERS}, init: {{bias: {{normal_: [0, 1]}}}}, freeze: [0, 3]}}")
    (tmp_path / "s.yaml").write_text(made.to_yaml(), encoding="utf-8")
    again = resolve(draft(load_spec(tmp_path / "s.yaml"), Registry.installed()))
    assert again == made
    assert again.digest == made.digest
    assert made.digest != plan(LAYERS).digest


def test_overrides_open_the_long_form(plan: Any) -> None:
    """On a spec that writes its layers as a list."""
    made = plan(LAYERS, "model.init.bias=zeros_", "model.freeze=[bias]", "model.layers.0.Linear.out_features=3")
    assert made.model[0].output_shape == (3,)
    assert made.init["bias"].name == "zeros_"
    assert made.n_frozen == 3 + 3 + 6 + 1


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (f"{{layers: {LAYERS}, init: {{weight: kaiming_normal_}}}}", "cannot fill '1.weight' of shape (6,)"),
        (
            f"{{layers: {LAYERS}, init: {{bias: zeros_, 0.bias: ones_}}}}",
            "every parameter that '0.bias' means is meant",
        ),
        (f"{{layers: {LAYERS}, init: {{biass: zeros_}}}}", "no parameter of the model is meant by 'biass'"),
        (f"{{layers: {LAYERS}, freeze: [7]}}", "no parameter of the model is meant by '7'"),
        (f"{{layers: {LAYERS}, freeze: ['*']}}", "leaves no parameter to train"),
        ("{layers: [ReLU, Linear: 1], init: {0.weight: zeros_}}", "no parameter of the model is meant by '0.weight'"),
    ],
)
def test_what_means_nothing_is_refused(model: str, words: str, plan: Any) -> None:
    """Before anything runs."""
    with pytest.raises(SpecError) as caught:
        plan(model)
    (problem,) = caught.value.problems
    assert words in problem.message


def test_one_layer_may_be_the_whole_model(plan: Any) -> None:
    """Written as a mapping, where a list would have one item."""
    assert plan("{Linear: 1}").digest == plan("[Linear: 1]").digest


NOISY = """
import torch
from annpipe import initializer

@initializer
def noisy_(tensor: torch.Tensor, *, generator: torch.Generator) -> None:
    "Normal numbers."
    tensor.normal_(generator=generator)
"""


def test_an_initializer_that_needs_the_generator_gets_the_one_of_the_run(plan: Any, tmp_path: Path) -> None:
    """It draws as one does that leaves the generator to torch."""
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    with_own = plan("{layers: [Linear: 3, Linear: 1], init: {weight: noisy_}}", more="plugins: [./noisy.py]\n")
    with_torch = plan("{layers: [Linear: 3, Linear: 1], init: {weight: normal_}}")
    own, of_torch = (build_model(one).state_dict() for one in (with_own, with_torch))
    assert all(torch.equal(own[name], of_torch[name]) for name in of_torch)
