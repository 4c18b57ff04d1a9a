"""The Python source of a plan's network: what it builds is the network, in plain PyTorch."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.export.network_source import network_source, plugin_modules
from annpipe.plan.plan import Plan
from annpipe.train.parts import build
from tests.training import Planned

HEAD = """
version: 1
name: NAME
data: {table: {inputs: {x: [0, 1, 2, 3], z: [1, 0, 1, 0]}, targets: {y: [0, 1, 4, 9]}}}
loss: MSELoss
optimizer: Adam
train: {epochs: 1}
device: {type: cpu, threads: 1, precision: float64}
"""


def spec(model: str, name: str = "small") -> str:
    return f"{HEAD.replace('NAME', name)}{model}\n"


def built(plan: Plan) -> torch.nn.Module:
    """What the source makes."""
    scope: dict[str, Any] = {}
    exec(compile(network_source(plan), "network.py", "exec"), scope)
    network = scope["build"]()
    assert isinstance(network, torch.nn.Module)
    return network


@pytest.mark.parametrize(
    "model",
    [
        "model: [Linear: 3, Tanh, Linear: {out_features: 1, bias: false}]",
        "model: [Linear: 4, Dropout: 0.5, BatchNorm1d: {eps: 0.001, affine: false}, Linear: 1]",
        "model: [Linear: 4, Hardtanh: {max_val: .inf}, LeakyReLU: 1.0e-3, Linear: 1]",
        "blocks: {wide: [Linear: 4, Tanh]}\nmodel: [wide, wide, Linear: 1]",
    ],
    ids=["plain", "options", "infinite", "blocks"],
)
def test_the_source_builds_the_network(model: str, planned: Planned) -> None:
    """Its parameters by name and shape are those of the run's own, and so is what it makes of them."""
    plan = planned(spec(model))
    with computing(plan.device.precision, deterministic=False) as dtype:
        own = build(plan, torch.device("cpu"), dtype).model.eval()
    network = built(plan).eval()
    assert not any(type(module).__module__.startswith("annpipe") for module in network.modules())
    assert {name: (value.shape, value.dtype) for name, value in network.state_dict().items()} == {
        name: (value.shape, value.dtype) for name, value in own.state_dict().items()
    }
    network.load_state_dict(own.state_dict())
    x = torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(network(x), own(x))


def test_layers_of_a_block_that_is_used_twice_are_the_same_ones(planned: Planned) -> None:
    """They have one set of parameters."""
    model = "blocks: {wide: [Linear: 2, Tanh]}\nmodel: [shared: wide, shared: wide, Linear: 1]"
    network = built(planned(spec(model)))
    assert len(list(network.parameters())) == 4
    apart = built(planned(spec(model.replace("shared: wide", "wide"))))
    assert len(list(apart.parameters())) == 6


def test_each_layer_is_on_a_line_with_its_shapes(planned: Planned) -> None:
    """Only what differs from the defaults is written."""
    source = network_source(planned(spec("model: [Linear: 3, Tanh, Linear: 1]")))
    assert "Linear(in_features=2, out_features=3),  # (rows, 2) -> (rows, 3)" in source
    assert "bias" not in source


@pytest.mark.parametrize("name", ['a """quoted""" one', "back\\Nslash"])
def test_the_name_of_a_run_cannot_end_the_docstring(name: str, planned: Planned) -> None:
    """It is data, and not code."""
    plan = planned(spec("model: [Linear: 1]", name=json.dumps(name)))
    assert isinstance(built(plan), torch.nn.Sequential)


LAYER = """
import torch
from annpipe import layer


@layer
class NAME(torch.nn.Module):
    def forward(self, x):
        return x
"""


def test_plugin_files_travel_under_names_of_their_own(planned: Planned, tmp_path: Any) -> None:
    """Signs that no module may have are replaced, and two files of one stem are told apart."""
    for folder, name in (("a", "One"), ("b", "Two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my-layers.py").write_text(LAYER.replace("NAME", name), encoding="utf-8")
    model = "plugins: [./a/my-layers.py, ./b/my-layers.py]\nmodel: [One, Two, Linear: 1]"
    plan = planned(spec(model))
    assert sorted(plugin_modules(plan).values()) == ["plugin_my_layers", "plugin_my_layers_2"]
    source = network_source(plan)
    assert "import plugin_my_layers\n" in source
    assert "plugin_my_layers_2.Two()" in source
