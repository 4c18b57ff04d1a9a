"""Shapes: sizes filled by running them on the meta device, and what does not fit named at its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annpipe import Dataset, Field, Fields
from annpipe.draft.draft import draft
from annpipe.errors import SpecError
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.marks import data, layer
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import read_spec
from annpipe.spec.yaml.reader import read_text

MADE: list[str] = []


@data(fields=lambda kind="table": KINDS[kind])
def shaped(kind: str = "table") -> Dataset:
    """Data of a told shape; making it is noted."""
    MADE.append(kind)
    raise AssertionError("shapes are checked before any data is made")


MANY = 200_000  # so many are not made to see whether they are as declared
KINDS = {
    "table": Fields({"a": Field(), "b": Field()}, {"y": Field()}, MANY),
    "image": Fields({"image": Field((3, 16, 16))}, {"label": Field(dtype="int", classes=10)}, MANY),
    "sequence": Fields({"s": Field((20, 5))}, {"y": Field()}, MANY),
    "signal": Fields({"s": Field((2, 50))}, {"y": Field()}, MANY),
    "tokens": Fields({"t": Field((12,), dtype="int")}, {"y": Field(), "z": Field()}, MANY),
}


@layer
class Scale(torch.nn.Module):
    """A plugin layer that names the contract's parameters."""

    def __init__(self, factor: float = 2.0, *, in_features: int, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        assert input_shape[-1] == in_features
        self.weight = torch.nn.Parameter(torch.full((in_features,), factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


@layer
class Forgetful(torch.nn.Module):
    """A layer that loses the rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(0)


@layer
class Raising(torch.nn.Module):
    """A layer with a fault of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise AttributeError("no such weight")


def plan(kind: str, model: str, loss: str = "MSELoss") -> Plan:
    """The plan of a model on data of a kind."""
    text = f"version: 1\nname: t\ndata: {{shaped: {kind}}}\nmodel:\n"
    text += "".join(f"  - {line}\n" for line in model.split(" | "))
    text += f"loss: {loss}\noptimizer: SGD\ntrain: {{epochs: 1}}\n"
    registry = Registry.installed()
    for component in (shaped, Scale, Forgetful, Raising):
        registry.add(component)
    return resolve(draft(read_spec(read_text(text, "s.yaml"), "s.yaml"), registry))


def problem(kind: str, model: str, loss: str = "MSELoss"):  # type: ignore[no-untyped-def]
    """The only problem of such a plan."""
    with pytest.raises(SpecError) as caught:
        plan(kind, model, loss)
    assert len(caught.value.problems) == 1
    assert MADE == []
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("kind", "model", "loss", "shapes"),
    [
        ("table", "Linear: 8 | ReLU | Linear: 1", "MSELoss", [(8,), (8,), (1,)]),
        ("table", "Linear: 8 | BatchNorm1d | LayerNorm | Scale | Linear: 1", "L1Loss", [(8,), (8,), (8,), (8,), (1,)]),
        (
            "image",
            "Conv2d: [8, 3] | BatchNorm2d | ReLU | MaxPool2d: 2 | GroupNorm: 4 | Flatten | Linear: 10",
            "CrossEntropyLoss",
            [(8, 14, 14), (8, 14, 14), (8, 14, 14), (8, 7, 7), (8, 7, 7), (392,), (10,)],
        ),
        ("sequence", "LSTM: 7 | Flatten | Linear: 1", "MSELoss", [(20, 7), (140,), (1,)]),
        (
            "sequence",
            "GRU: {hidden_size: 4, bidirectional: true} | Flatten | Linear: 1",
            "MSELoss",
            [(20, 8), (160,), (1,)],
        ),
        (
            "sequence",
            "Linear: 8 | TransformerEncoderLayer: {nhead: 2, dim_feedforward: 16} | Flatten | Linear: 1",
            "MSELoss",
            [(20, 8), (20, 8), (160,), (1,)],
        ),
        ("signal", "Conv1d: [4, 5] | InstanceNorm1d | AdaptiveAvgPool1d: 3 | Flatten | Linear: 1", "MSELoss", None),
        ("tokens", "Embedding: [100, 6] | Flatten | Linear: 2", "MSELoss", [(12, 6), (72,), (2,)]),
    ],
)
def test_sizes_left_out_are_filled_from_the_shape(
    kind: str, model: str, loss: str, shapes: list[tuple[int, ...]] | None
) -> None:
    """No size of an input is written anywhere; the built network takes real tensors of these shapes."""
    made = plan(kind, model, loss)
    if shapes:
        assert [layer.output_shape for layer in made.model] == shapes
    again = plan_from(made)
    assert again == made
    assert again.digest == made.digest


def plan_from(made: Plan) -> Plan:
    """The plan's own YAML, resolved."""
    registry = Registry.installed()
    for component in (shaped, Scale, Forgetful, Raising):
        registry.add(component)
    return resolve(draft(read_spec(read_text(made.to_yaml(), "s.yaml"), "s.yaml"), registry))


@pytest.mark.parametrize(
    ("kind", "model", "loss", "code", "line", "words"),
    [
        (
            "table",
            "Conv2d: [3, 3] | Linear: 1",
            "MSELoss",
            "shape",
            5,
            ["(rows, 2)", "(rows, channels, height, width)"],
        ),
        (
            "image",
            "Linear: 3 | BatchNorm1d | Flatten | Linear: 10",
            "CrossEntropyLoss",
            "shape",
            6,
            ["(rows, 3, 16, 3)"],
        ),
        ("table", "Linear: {in_features: 5, out_features: 1}", "MSELoss", "shape", 5, ["(rows, 2)", "says 5"]),
        ("table", "Linear: 3 | Unflatten: [1, [2, 2]] | Linear: 1", "MSELoss", "shape", 6, ["(rows, 3)"]),
        ("table", "Forgetful | Linear: 1", "MSELoss", "shape", 5, ["the rows are lost"]),
        ("sequence", "TransformerEncoderLayer: 2", "MSELoss", "wrong-value", 5, ["refuses"]),
        ("table", "LSTM: 4 | Linear: 1", "MSELoss", "shape", 5, ["(rows, 2)", "(rows, length, features)"]),
        ("sequence", "Conv2d: [3, 3] | Flatten", "MSELoss", "shape", 5, ["(rows, channels, height, width)"]),
        ("sequence", "GRU: {hidden_size: 4, batch_first: false}", "MSELoss", "shape", 5, ["takes the rows"]),
        ("image", "Conv2d: [3, 20] | Flatten", "CrossEntropyLoss", "shape", 5, ["Kernel size"]),
        ("table", "Embedding: [9, 2] | Flatten", "MSELoss", "shape", 5, ["whole numbers", "has fractions"]),
        ("table", "Raising | Linear: 1", "MSELoss", "shape", 5, ["no such weight"]),
        ("table", "Linear: 3", "MSELoss", "output-shape", 5, ["(rows, 3)", "(rows, 1)"]),
        ("image", "Flatten | Linear: 9", "CrossEntropyLoss", "output-shape", 6, ["10 outputs"]),
        ("table", "Linear: 1", "{MSELoss: {reduction: none}}", "loss-mismatch", 6, ["not one number"]),
        ("table", "Linear: 2", "GaussianNLLLoss", "loss-mismatch", 5, ["mean and variance"]),
    ],
)
def test_what_does_not_fit_is_named_at_its_line(
    kind: str, model: str, loss: str, code: str, line: int, words: list[str]
) -> None:
    """With the shape that arrived and the one that was needed, before any data is made."""
    found = problem(kind, model, loss)
    assert (found.code, found.place.line) == (code, line)
    for word in words:
        assert word in found.message


def test_a_fault_inside_a_plugin_shows_the_plugins_line() -> None:
    """Besides the layer and what gives it its input."""
    place, note = problem("table", "Raising | Linear: 1").related[-1]
    assert place.file == __file__
    assert Path(__file__).read_text().splitlines()[place.line - 1].strip() == 'raise AttributeError("no such weight")'
    assert note == "raised here: AttributeError"


def test_two_linear_layers_in_a_row_are_warned_of() -> None:
    """At the second one; a nonlinearity between them is enough, one that changes no value is not."""
    made = plan("table", "Linear: 4 | Linear: 3 | Identity | Linear: 2 | ReLU | Linear: 1")
    assert [(w.code, w.severity, w.place.line) for w in made.warnings if w.place] == [
        ("linear-collapse", "warning", 6),
        ("linear-collapse", "warning", 8),
    ]
    assert "equal to one linear layer" in made.warnings[0].message


def test_data_that_tells_no_fields_is_made_to_see_them() -> None:
    """A generator without `fields` still has its shapes checked before training."""

    @data
    def untold() -> Dataset:
        """Two inputs, one target."""
        return Dataset({"a": torch.zeros(4), "b": torch.zeros(4)}, {"y": torch.zeros(4)})

    registry = Registry.installed()
    registry.add(untold)
    text = "version: 1\nname: t\ndata: untold\nmodel: [Linear: 1]\nloss: L1Loss\noptimizer: SGD\ntrain: {epochs: 1}\n"
    made = resolve(draft(read_spec(read_text(text, "s.yaml"), "s.yaml"), registry))
    assert made.model[0].component.options["in_features"] == 2
