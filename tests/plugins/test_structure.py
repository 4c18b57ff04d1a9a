"""Layers that hold layers: held against the same networks written in plain torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.parts import build_model

DATA = {
    "table": "table: {inputs: {a: [0, 1, 2], b: [1, 0, 2]}, targets: {y: [1, 3, 2]}}",
    "image": "npz: {file: ./data.npz, inputs: [image], targets: [y]}",
    "signal": "npz: {file: ./data.npz, inputs: [signal], targets: [y]}",
    "sequence": "npz: {file: ./data.npz, inputs: [sequence], targets: [y]}",
}


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """The plan of a model, each layer on a line of its own from line 4, on data of a kind."""
    import numpy as np

    np.savez(
        tmp_path / "data.npz",
        image=np.zeros((4, 3, 9, 9), np.float32),
        signal=np.zeros((4, 2, 12), np.float32),
        sequence=np.zeros((4, 6, 5), np.float32),
        y=np.zeros(4, np.float32),
    )

    def plan(kind: str, *layers: str, overrides: tuple[str, ...] = ()) -> Plan:
        text = "version: 1\nname: t\nmodel:\n" + "".join(f"  - {layer}\n" for layer in layers)
        text += f"data: {{{DATA[kind]}}}\nloss: MSELoss\noptimizer: SGD\ntrain: {{epochs: 1}}\n"
        (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
        return resolve(draft(load_spec(tmp_path / "s.yaml", overrides), Registry.installed()))

    return plan


FLAT = ("Flatten", "Linear: 1")


def with_weights_of(own: nn.Module, theirs: nn.Module) -> nn.Module:
    """Their module with our parameters, in the order of their names' ends, which is that of the layers."""
    mine = list(own.parameters())
    for parameter, source in zip(theirs.parameters(), mine, strict=True):
        parameter.data = source.detach().clone()
    return theirs


class TorchResidual(nn.Module):
    """x + f(x), with a projection where widths differ."""

    def __init__(self, inner: nn.Module, projection: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.projection = inner, projection

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.projection(x) if self.projection else x) + self.inner(x)


@pytest.mark.parametrize(
    ("kind", "layer", "theirs", "shape"),
    [
        ("table", "residual: [Linear: 5, ReLU, Linear: 2]",
         lambda: TorchResidual(nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2))), (2,)),
        ("table", "residual: {layers: [Linear: 5, ReLU]}",
         lambda: TorchResidual(nn.Sequential(nn.Linear(2, 5), nn.ReLU()), nn.Linear(2, 5, bias=False)), (5,)),
        ("sequence", "residual: [Linear: 7]",
         lambda: TorchResidual(nn.Linear(5, 7), nn.Linear(5, 7, bias=False)), (6, 7)),
        ("signal", "residual: [Conv1d: [3, 3, 1, 1]]",
         lambda: TorchResidual(nn.Conv1d(2, 3, 3, padding=1), nn.Conv1d(2, 3, 1, bias=False)), (3, 12)),
        ("image", "residual: [Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}]",
         lambda: TorchResidual(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1, bias=False)), (4, 9, 9)),
        ("image", "residual: [Conv2d: {out_channels: 4, kernel_size: 3, stride: 2, padding: 1}]",
         lambda: TorchResidual(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(3, 4, 1, stride=2, bias=False)),
         (4, 5, 5)),
        ("table", "repeat: {times: 2, layers: [Linear: 4, Tanh]}",
         lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh()), (4,)),
    ],
)  # fmt: skip
def test_a_container_computes_what_plain_torch_does(
    kind: str, layer: str, theirs: Any, shape: tuple[int, ...], plan: Any
) -> None:
    """Outputs and gradients, bit for bit."""
    made = plan(kind, layer, *FLAT)
    assert made.model[0].output_shape == shape
    own = build_model(made)[0]
    other = with_weights_of(own, theirs())
    assert made.model[0].parameters == sum(p.numel() for p in other.parameters())
    x = torch.randn(3, *made.model[0].input_shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own(x), other(x))
    own(x).square().sum().backward()
    other(x).square().sum().backward()
    for mine, its in zip(own.parameters(), other.parameters(), strict=True):
        assert mine.grad is not None
        assert torch.equal(mine.grad, its.grad)


@pytest.mark.parametrize("join", ["concat", "add", "mul"])
def test_branches_are_joined_as_torch_joins_them(join: str, plan: Any) -> None:
    """Side by side along the channels of an image, or element by element."""
    branches = "[[Conv2d: [4, 3], ReLU], [Conv2d: [4, 3]], [Conv2d: [4, 3], Tanh]]"
    made = plan("image", f"parallel: {{branches: {branches}, join: {join}}}", *FLAT)
    own = build_model(made)[0]
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    first, second, third = (branch(x) for branch in own.branches)
    assert (first >= 0).all()
    expected = {"concat": torch.cat([first, second, third], 1), "add": first + second + third,
                "mul": first * second * third}[join]  # fmt: skip
    assert torch.equal(own(x), expected)
    assert made.model[0].output_shape == tuple(expected.shape[1:])


def test_outputs_of_other_widths_are_put_side_by_side_along_the_last_dimension_or_the_one_said(plan: Any) -> None:
    """Of rows and sequences the last dimension; `dim` counts rows as 0."""
    assert plan("table", "parallel: [[Linear: 3], [Linear: 4]]", *FLAT).model[0].output_shape == (7,)
    assert plan("sequence", "parallel: [[Linear: 3], [Linear: 4]]", *FLAT).model[0].output_shape == (6, 7)
    signal = "parallel: {branches: [[Conv1d: [3, 1]], [Conv1d: [4, 1]]], dim: 1}"
    assert plan("signal", signal, *FLAT).model[0].output_shape == (7, 12)


def test_each_repetition_has_weights_and_sizes_of_its_own(plan: Any) -> None:
    """The first takes what arrives, the others what the one before gives."""
    made = plan("table", "repeat: {times: 3, layers: [Linear: 4, ReLU]}", "Linear: 1")
    first, second, third = (layer for layer in build_model(made)[0].layers if isinstance(layer, nn.Linear))
    assert [tuple(layer.weight.shape) for layer in (first, second, third)] == [(4, 2), (4, 4), (4, 4)]
    assert not torch.equal(second.weight, third.weight)
    inside = [(layer.component.name, layer.input_shape, layer.output_shape) for layer in made.model[0].inside]
    assert inside == [("Linear", (2,), (4,)), ("ReLU", (4,), (4,)), *[("Linear", (4,), (4,)), ("ReLU", (4,), (4,))] * 2]


NESTED = (
    "residual: [Linear: 8, repeat: {times: 2, layers: [residual: [Linear: 5, Tanh]]}]",
    "parallel: {branches: [[repeat: [2, [Linear: 3, ReLU]]], [Identity]], join: concat}",
    "Linear: 1",
)


def test_a_plan_with_containers_is_the_plan_of_its_own_yaml(plan: Any, tmp_path: Path) -> None:
    """A repetition stands there once, as in the spec."""
    made = plan("table", *NESTED)
    (tmp_path / "s.yaml").write_text(made.to_yaml(), encoding="utf-8")
    again = resolve(draft(load_spec(tmp_path / "s.yaml"), Registry.installed()))
    assert again == made
    assert again.digest == made.digest
    assert made.to_yaml().count("- repeat:") == 2
    assert [layer.output_shape for layer in made.model] == [(5,), (8,), (1,)]


@pytest.mark.parametrize(
    ("override", "check"),
    [
        ("model.0.residual.layers.0.Linear.out_features=6", lambda p: p.model[0].inside[0].output_shape == (6,)),
        ("model.0.residual.0.Linear.out_features=6", lambda p: p.model[0].inside[0].output_shape == (6,)),
        ("model.0.residual.layers.0.Linear.bias=false", lambda p: p.model[0].inside[0].parameters == 16),
        ("model.0.residual.layers.1.repeat.times=4", lambda p: len(p.model[0].inside[1].inside) == 4),
        ("model.1.parallel.branches.0.0.repeat.times=3", lambda p: len(p.model[1].inside[0].inside) == 6),
        ("model.1.parallel.branches.1.0=ReLU", lambda p: p.model[1].inside[1].component.name == "ReLU"),
        ("model.1.parallel.branches.0.0.repeat.layers.0.Linear.out_features=9",
         lambda p: p.model[1].output_shape == (14,)),
        ("model.0.residual.layers=[Linear: 7]", lambda p: p.model[0].output_shape == (7,)),
    ],
)  # fmt: skip
def test_overrides_reach_inside(override: str, check: Any, plan: Any) -> None:
    """Whether the spec names the option or writes its list alone; what is beside it stays."""
    made = plan("table", *NESTED, overrides=(override,))
    assert check(made)
    assert len(made.model) == 3


def test_origins_reach_inside(plan: Any, tmp_path: Path) -> None:
    """Each value inside a container is told by its path."""
    from annpipe.plan.origin import origins

    made = plan("table", *NESTED, overrides=("model.0.residual.layers.0.Linear.bias=false",))
    spec = load_spec(tmp_path / "s.yaml", ("model.0.residual.layers.0.Linear.bias=false",))
    found = {origin.path: origin for origin in origins(made, spec)}
    assert found["model.0.residual.layers.0.Linear.bias"].source == "override"
    assert found["model.0.residual.layers.0.Linear.in_features"].source == "shape"
    assert found["model.0.residual.layers.1.repeat.times"].value == 2
    assert found["model.1.parallel.branches.0.0.repeat.layers.0.Linear.out_features"].place.line == 5


@pytest.mark.parametrize(
    ("kind", "layers", "code", "line", "words"),
    [
        ("table", ("Linear: 4", "residual: [Linear: 3, Conv2d: [4, 3]]"), "shape", 5, "(rows, 3)"),
        ("table", ("Linear: 4", "residual: [Conv1d: [4, 3]]"), "shape", 5, "(rows, 4)"),
        ("table", ("residual: [Unflatten: [1, [2, 1]]]", "Linear: 1"), "wrong-value", 4, "cannot be added"),
        ("image", ("residual: [Conv2d: [4, 6]]", *FLAT), "wrong-value", 4, "(rows, 3, 9, 9) to (rows, 4, 4, 4)"),
        ("table", ("parallel: {branches: [[Linear: 3], [Linear: 4]], join: add}",), "wrong-value", 4, "one shape"),
        ("image", ("parallel: [[Conv2d: [3, 2]], [Conv2d: [3, 3]]]",), "wrong-value", 4, "must agree"),
        ("table", ("parallel: [[Linear: 3], [Unflatten: [1, [2, 1]]]]",), "wrong-value", 4, "cannot be joined"),
        ("table", ("parallel: {branches: [[ReLU], [Tanh]], dim: 2}",), "wrong-value", 4, "cannot be joined"),
        ("table", ("parallel: {branches: [[ReLU], [Tanh]], dim: 1, join: mul}",), "wrong-value", 4, "concat"),
        ("table", ("parallel: [[ReLU]]",), "wrong-value", 4, "two branches"),
        ("table", ("repeat: [20000, [ReLU]]",), "wrong-value", 4, "20,001 layers"),
    ],
)
def test_what_does_not_fit_is_said_at_the_inner_line(
    kind: str, layers: tuple[str, ...], code: str, line: int, words: str, plan: Any
) -> None:
    """With the shape that arrived there, and what gave it."""
    with pytest.raises(SpecError) as caught:
        plan(kind, *layers)
    problem = caught.value.problems[0]
    assert (problem.code, problem.place.line) == (code, line)
    assert words in problem.message
    if code == "shape":
        assert [note for _, note in problem.related] == [f"this gives {words}"]


def test_linear_layers_that_meet_inside_are_warned_of(plan: Any) -> None:
    """In a residual, between the times of a repetition and after it, once for each pair of lines."""
    made = plan("table", "residual: [Linear: 3, Linear: 2]", "repeat: {times: 3, layers: [Linear: 4]}", "Linear: 1")
    assert [(w.code, w.place.line) for w in made.warnings] == [("linear-collapse", n) for n in (4, 5, 6)]
    assert plan("table", "Linear: 4", "residual: [Linear: 4, ReLU]", "Linear: 1").warnings == ()


def test_a_lone_row_is_said_at_the_layer_inside(plan: Any) -> None:
    """Batch normalization in a residual, with a last batch of one row."""
    layers = ("repeat: {times: 2, layers: [residual: [BatchNorm1d]]}", "Linear: 1")
    with pytest.raises(SpecError) as caught:
        plan("table", *layers, overrides=("train.batch_size=2",))
    assert [problem.message.partition(":")[0] for problem in caught.value.problems] == [
        "the last batch of 3 rows by 2 has one row, and BatchNorm1d cannot learn from one"
    ]


def test_a_recurrent_layer_inside_gives_its_sequence(plan: Any) -> None:
    """The first of the tuple flows on, as in the model itself."""
    made = plan("sequence", "residual: [GRU: 5]", "Flatten", "Linear: 1")
    own = build_model(made)[0]
    x = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own(x), x + own.layers[0](x)[0])
