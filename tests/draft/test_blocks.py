"""`blocks`: named stacks, each use of them with weights and sizes of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.origin import origins
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
optimizer: SGD
train: {epochs: 1}
"""
BLOCKS = """
blocks:
  hidden: [Linear: 4, ReLU]
  deep: [hidden, residual: [hidden, hidden]]
model: [hidden, deep, repeat: {times: 2, layers: [hidden]}, hidden, Linear: 1]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """The plan of a spec's blocks and model."""

    def plan(text: str, *overrides: str) -> Plan:
        (tmp_path / "s.yaml").write_text(REST + text, encoding="utf-8")
        return resolve(draft(load_spec(tmp_path / "s.yaml", overrides), Registry.installed()))

    return plan


def test_each_use_has_weights_and_sizes_of_its_own(plan: Any) -> None:
    """Under the block's name, the second use in one stack under that name with a number."""
    made = plan(BLOCKS)
    model = build_model(made)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters() if name.endswith("weight")}
    assert shapes == {
        "hidden.0.weight": (4, 2),
        "deep.hidden.0.weight": (4, 4),
        "deep.1.layers.hidden.0.weight": (4, 4),
        "deep.1.layers.hidden_2.0.weight": (4, 4),
        "2.layers.hidden.0.weight": (4, 4),
        "2.layers.hidden_2.0.weight": (4, 4),
        "hidden_2.0.weight": (4, 4),
        "4.weight": (1, 4),
    }
    assert not torch.equal(model.deep.hidden[0].weight, model.hidden_2[0].weight)


def test_a_block_is_what_its_layers_are(plan: Any) -> None:
    """The same weights as the layers written out: the stream of initial values is drawn in the same order."""
    blocks = build_model(plan(BLOCKS))
    written = build_model(
        plan(
            "model: [Linear: 4, ReLU, Linear: 4, ReLU, residual: [Linear: 4, ReLU, Linear: 4, ReLU], "
            "Linear: 4, ReLU, Linear: 4, ReLU, Linear: 4, ReLU, Linear: 1]"
        )
    )
    for mine, theirs in zip(blocks.parameters(), written.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    x = torch.randn(5, 2)
    assert torch.equal(blocks(x), written(x))


def test_a_plan_with_blocks_is_the_plan_of_its_own_yaml(plan: Any) -> None:
    """The blocks stand there once, and their uses by name."""
    made = plan(BLOCKS)
    again = plan(made.to_yaml().replace("version: 1\nname: t\n", "").partition("blocks:")[1] + _from_blocks(made))
    assert again.digest == made.digest
    assert again == made


def _from_blocks(made: Plan) -> str:
    after = made.to_yaml().partition("blocks:")[2]
    return after.partition("\nloss:")[0] + "\n"


def test_overrides_and_origins_know_blocks(plan: Any, tmp_path: Path) -> None:
    """A width in the block changes every use."""
    change = "blocks.hidden.0.Linear.out_features=7"
    made = plan(BLOCKS, change)
    assert [layer.output_shape for layer in made.model] == [(7,), (7,), (7,), (7,), (1,)]
    found = {origin.path: origin for origin in origins(made, load_spec(tmp_path / "s.yaml", (change,)))}
    assert found["blocks.hidden.0.Linear.out_features"].source == "override"
    assert found["model.0"].value == "hidden"


def test_a_base_may_have_blocks_that_are_not_used(plan: Any, tmp_path: Path) -> None:
    """Only a spec's own are asked for."""
    (tmp_path / "base.yaml").write_text(REST + BLOCKS, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\nmodel: [hidden, Linear: 1]\n", encoding="utf-8")
    made = resolve(draft(load_spec(tmp_path / "mine.yaml"), Registry.installed()))
    assert [layer.component.name for layer in made.model] == ["hidden", "Linear"]


def test_one_specs_blocks_are_not_anothers(plan: Any, tmp_path: Path) -> None:
    """The registry that is passed in stays as it was."""
    registry = Registry.installed()
    (tmp_path / "s.yaml").write_text(REST + BLOCKS, encoding="utf-8")
    draft(load_spec(tmp_path / "s.yaml"), registry)
    assert registry.find("layer", "hidden") is None


def test_blocks_of_blocks_of_blocks_come_to_an_end(plan: Any) -> None:
    """Forty that each hold the one before twice are refused at once."""
    lines = ["blocks:", "  b0: [ReLU]", *(f"  b{n}: [b{n - 1}, b{n - 1}]" for n in range(1, 41))]
    with pytest.raises(SpecError) as caught:
        plan("\n".join([*lines, "model: [b40, Linear: 1]\n"]))
    (problem,) = caught.value.problems
    assert problem.code == "block"
    assert "a model has at most 10,000" in problem.message


def test_every_block_with_every_other_is_checked_quickly(plan: Any) -> None:
    """Sixty blocks, each of which holds all those after it."""
    names = [f"b{n}" for n in range(60)]
    lines = [f"  {name}: [{', '.join([*names[n + 1 : n + 5], 'ReLU'])}]" for n, name in enumerate(names)]
    with pytest.raises(SpecError) as caught:
        plan("\n".join(["blocks:", *lines, "model: [b0, Linear: 1]\n"]))
    assert {problem.code for problem in caught.value.problems} == {"block"}
