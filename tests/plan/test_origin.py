"""Where each value of a plan comes from: its own line, an override, a default, the shapes, or annpipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annpipe.errors import Place
from annpipe.plan.origin import ValueOrigin, origins
from annpipe.plan.plan import Plan
from annpipe.spec import load_spec
from tests.training import Planned

HEAD = """version: 1
name: origins
data: {formula: {rows: 40, inputs: {a: {Uniform: [-1, 1]}, b: {Uniform: [-1, 1]}}, targets: {y: a*b, z: a+b}}}
train: {epochs: 3}
"""
ONE = (
    HEAD
    + """device: cpu
model: {layers: [Linear: 4, Tanh, Linear: 2], freeze: [0.bias], init: {0.weight: xavier_normal_}}
loss: MSELoss
optimizer: {Adam: {lr: 0.1}, groups: [{params: 2.*, lr: 0.2}]}
scheduler: {StepLR: {step_size: 2}}
metrics: [R2Score]
"""
)
SEVERAL = (
    HEAD
    + """model:
  inputs: {first: {columns: [a], layers: [Linear: 3]}, second: {columns: [b]}}
  layers: [Linear: 4]
  outputs:
    y: {layers: [Linear: 1], loss: MSELoss, weight: 2, metrics: [R2Score]}
    z: {layers: [Linear: 1], loss: L1Loss}
optimizer: {SGD: {lr: 0.1}}
"""
)


@pytest.fixture
def found(planned: Planned, tmp_path: Path) -> Any:
    """The plan of a text, and the origins of its values by their paths."""

    def of(text: str, *overrides: str) -> tuple[Plan, dict[str, ValueOrigin]]:
        plan = planned(text, *overrides)
        listed = origins(plan, load_spec(tmp_path / "spec.yaml", overrides))
        by_path = {origin.path: origin for origin in listed}
        assert len(by_path) == len(listed)
        return plan, by_path

    return of


def at(text: str) -> str:
    """Where a text stands in the spec."""
    before = ONE[: ONE.index(text)]
    return f"spec.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@pytest.mark.parametrize(
    ("path", "value", "source", "where"),
    [
        ("name", "origins", "spec", at("origins")),
        ("seed", 0, "default", "default"),
        ("train.epochs", 3, "spec", at("3}")),
        ("train.batch_size", 8, "override", "--set train.batch_size=8"),
        ("device.type", "cpu", "spec", at("cpu")),
        ("device.precision", "float32", "default", "default"),
        ("model.layers.0.Linear.in_features", 2, "shape", "from the shape"),
        ("model.layers.0.Linear.out_features", 4, "spec", at("4, Tanh")),
        ("model.layers.2.Linear.bias", True, "default", "default"),
        ("model.freeze", ["0.bias"], "spec", at("[0.bias]")),
        ("optimizer.Adam.fused", True, "annpipe", "chosen by annpipe"),
        ("optimizer.groups.0.params", ["2.*"], "spec", at("2.*")),
        ("optimizer.groups.0.lr", 0.2, "spec", at("0.2")),
        ("data.formula.targets.y", "a*b", "spec", at("a*b")),
        ("data.formula.inputs.a.Uniform.low", -1, "spec", at("-1, 1")),
        ("scheduler.StepLR.gamma", 0.1, "default", "default"),
    ],
)
def test_each_kind_of_value(path: str, value: object, source: str, where: str, found: Any, tmp_path: Path) -> None:
    """With the place that is to be edited."""
    origin = found(ONE, "train.batch_size=8")[1][path]
    assert (origin.value, origin.source) == (value, source)
    assert str(origin).replace(f"{tmp_path}/", "") == where


def test_a_variable_stands_where_it_is_written(found: Any, tmp_path: Path) -> None:
    """And is used elsewhere."""
    text = ONE.replace("[Linear: 4", "[Linear: '${width}'") + "variables: {width: 4}\n"
    origin = found(text)[1]["model.layers.0.Linear.out_features"]
    assert (origin.value, origin.source) == (4, "spec")
    assert str(origin).replace(f"{tmp_path}/", "") == "spec.yaml:11:20, used at " + at("4, Tanh")


def leaves(value: Any, path: str) -> dict[str, Any]:
    """The values of a plan's data by their paths."""
    if isinstance(value, dict) and value:
        return {p: v for key, item in value.items() for p, v in leaves(item, f"{path}.{key}").items()}
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return {p: v for number, item in enumerate(value) for p, v in leaves(item, f"{path}.{number}").items()}
    return {path: value}


@pytest.mark.parametrize("text", [ONE, SEVERAL], ids=["one output", "several inputs and outputs"])
def test_every_value_of_the_plan_has_one(text: str, found: Any) -> None:
    """The same value as in the plan; what is beside the leaves are the names of components."""
    plan, by_path = found(text)
    expected = {path[1:]: value for path, value in leaves(plan.to_data(), "").items()}
    named = {path: origin for path, origin in by_path.items() if path not in expected}
    lacking = {path: value for path, value in expected.items() if path not in by_path and value}
    for path, names in lacking.items():  # lists of components by their names
        assert names == [by_path[f"{path}.{number}"].value for number in range(len(names))]
    assert all(expected[path] == origin.value for path, origin in by_path.items() if path in expected)
    assert all(isinstance(origin.value, str) for origin in named.values())


def test_values_of_several_inputs_and_outputs(found: Any) -> None:
    """Stand at their stacks and heads."""
    by_path = found(SEVERAL)[1]
    for path, value, source in (
        ("model.inputs.first.columns", ["a"], "spec"),
        ("model.inputs.first.layers.0.Linear.out_features", 3, "spec"),
        ("model.join", "concat", "default"),
        ("model.outputs.y.weight", 2, "spec"),
        ("model.outputs.z.weight", 1.0, "default"),
        ("model.outputs.y.loss", "MSELoss", "spec"),
        ("model.outputs.y.metrics.0", "R2Score", "spec"),
    ):
        assert (by_path[path].value, by_path[path].source) == (value, source), path


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (ValueOrigin("a", 1, "default"), "default"),
        (ValueOrigin("a", 1, "shape"), "from the shape"),
        (ValueOrigin("a", 1, "annpipe"), "chosen by annpipe"),
        (ValueOrigin("a", 1, "spec", Place("s.yaml", 2, 3)), "s.yaml:2:3"),
        (ValueOrigin("a", 1, "spec", Place("s.yaml", 2, 3), Place("s.yaml", 5, 1)), "s.yaml:2:3, used at s.yaml:5:1"),
    ],
)
def test_an_origin_in_words(origin: ValueOrigin, text: str) -> None:
    """A variable stands where it is written, and is used elsewhere."""
    assert str(origin) == text
