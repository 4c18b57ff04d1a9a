"""Stacks of inputs and heads of outputs against the fields of the data: which columns they take, and what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from annpipe.contract import Field, Fields
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import (
    INPUTS,
    OUTPUTS,
    OutputHead,
    column_places,
    end_names,
    in_order,
    input_faults,
    inputs_data,
    inputs_layer,
    is_inputs,
    output_faults,
    outputs_data,
    outputs_layer,
    outputs_loss,
    stack_columns,
    with_column_spans,
)
from annpipe.errors import Place
from annpipe.spec.sections.spec import Spec, read_spec
from annpipe.spec.yaml.reader import read_text

NUMBER = Field((), "float")
FIELDS = Fields(
    {"x1": NUMBER, "x2": NUMBER, "word": Field((), "int"), "image": Field((2, 3), "float"), "z": NUMBER},
    {"y": NUMBER, "kind": Field((), "int"), "map": Field((4,), "float")},
    rows=10,
)
PLACE = Place("spec.yaml", 1, 1)
LOSS = Component("loss", "L1Loss", {})


def spec(model: str) -> Spec:
    text = f"version: 1\nname: a\ndata: spiral\nmodel: {model}\nloss: L1Loss\noptimizer: Adam\ntrain: {{epochs: 1}}\n"
    return read_spec(read_text(text, "spec.yaml"), "spec.yaml")


def inputs(stacks: str) -> Spec:
    return spec(f"{{inputs: {stacks}, layers: [Linear: 1]}}")


def outputs(*names: str) -> Spec:
    heads = ", ".join(f"{name}: {{layers: [Linear: 1], loss: L1Loss}}" for name in names)
    return spec(f"{{layers: [Linear: 1], outputs: {{{heads}}}}}")


def head(name: str, weight: float = 1.0) -> OutputHead:
    return OutputHead(name, (Component("layer", "Tanh", {}),), LOSS, weight, ())


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        ([["x1"], ["z", "x2"]], [("x1",), ("z", "x2")]),
        ([["x*"]], [("x1", "x2")]),
        ([["x*", "x1"]], [("x1", "x2")]),
        ([["nothing"]], [()]),
    ],
)
def test_a_stack_takes_names_and_patterns(columns: list[list[str]], taken: list[tuple[str, ...]]) -> None:
    """In their order, each once."""
    assert stack_columns(columns, FIELDS) == taken


@pytest.mark.parametrize(
    ("stacks", "codes", "words"),
    [
        ("{a: {columns: [x1, x2, word, z]}, image: {}}", [], ""),
        ("{a: {columns: [x1, x3, word, z]}, image: {}}", ["unknown-column"], "no input fits 'x3'"),
        ("{a: {columns: [y, x1]}, image: {}}", ["unknown-column"], "'y' is a target, not an input"),
        ("{a: {columns: ['x*', word, z]}, b: {columns: x2}, image: {}}", ["inputs"], "'x2' is taken by two stacks"),
        ("{a: {columns: ['x*', image]}}", ["inputs"], "'image' is not one number a row"),
        ("{a: {columns: 'x*'}, image: {}}", ["inputs"], "no stack takes the inputs 'word', 'z'"),
        ("{a: {columns: ['x*', word]}, image: {}}", ["inputs"], "no stack takes the input 'z'"),
    ],
)  # fmt: skip
def test_every_input_goes_to_one_stack(stacks: str, codes: list[str], words: str) -> None:
    """What is left over is said where nothing else is wrong."""
    problems = input_faults(inputs(stacks), FIELDS)
    assert [problem.code for problem in problems] == codes
    assert all(words in problem.message for problem in problems)


SHAPED = "the target 'map' has the shape (4,) a row, and a head predicts one number or class"


@pytest.mark.parametrize(
    ("names", "messages"),
    [
        (("y", "kind", "map"), [SHAPED]),
        (("y", "knid", "map"), ["there is no target 'knid' that a head could predict", SHAPED]),
        (("y",), ["no head predicts the targets 'kind', 'map'"]),
        ((), []),
    ],
)  # fmt: skip
def test_every_target_has_a_head(names: tuple[str, ...], messages: list[str]) -> None:
    """Of one number or class."""
    made = outputs(*names) if names else spec("[Linear: 1]")
    assert [problem.message for problem in output_faults(made, FIELDS)] == messages


def test_the_columns_of_a_stack_are_spans_of_what_arrives() -> None:
    """Those that follow one another are one; a stack of one class column gets whole numbers."""
    places = column_places(FIELDS)
    widths = {name: max(1, int(np.prod(field.shape))) for name, field in FIELDS.inputs.items()}
    ends = np.cumsum(list(widths.values())).tolist()
    assert places == {name: (end - widths[name], end) for name, end in zip(widths, ends, strict=True)}
    columns = [["x*", "z"], ["word"], ["image"]]
    layer = Component("layer", INPUTS, {"columns": columns})
    options = with_column_spans(layer, FIELDS).options
    assert options["spans"] == [[[0, 2], [9, 10]], [[2, 3]], [[3, 9]]]
    assert options["shapes"] == [[3], [1], [2, 3]]
    assert options["whole"] == [False, True, False]


def test_transformed_stacks_stand_one_after_another() -> None:
    """In the shapes that the transforms give them."""
    fields = Fields(FIELDS.inputs, FIELDS.targets, rows=10, stacks=((4,), (2, 3), ()))
    layer = Component("layer", INPUTS, {"columns": [["x*", "z"], ["image"], ["word"]]})
    options = with_column_spans(layer, fields).options
    assert options["spans"] == [[[0, 4]], [[4, 10]], [[10, 11]]]
    assert options["shapes"] == [[4], [2, 3], []]


def test_the_ends_of_a_model_are_layers_of_their_own() -> None:
    """Where the spec has some; as data they are what the spec says."""
    made = inputs("{a: {columns: 'x*'}, image: {layers: [Flatten]}}")
    (layer,) = inputs_layer(made, lambda calls: [Component("layer", call.name, {}) for call in calls])
    assert is_inputs(layer)
    assert end_names(layer) == ["a: x*", "image: image"]
    assert inputs_data(layer) == {
        "inputs": {"a": {"columns": ["x*"], "layers": []}, "image": {"columns": ["image"], "layers": ["Flatten"]}},
        "join": "concat",
    }
    assert inputs_layer(spec("[Linear: 1]"), lambda calls: []) == []
    heads = [head("kind", 0.5), head("y")]
    (last,) = outputs_layer(heads, PLACE)
    assert (last.name, end_names(last), is_inputs(last)) == (OUTPUTS, ["kind", "y"], False)
    assert outputs_layer([], PLACE) == []
    assert end_names(Component("layer", "Tanh", {})) == []
    assert outputs_loss(heads, PLACE).options == {
        "losses": {"kind": LOSS, "y": LOSS},
        "weights": {"kind": 0.5, "y": 1.0},
    }
    assert outputs_data(heads)["outputs"]["kind"] == {
        "layers": ["Tanh"],
        "loss": "L1Loss",
        "weight": 0.5,
        "metrics": [],
    }
    assert [one.name for one in in_order(heads, FIELDS)] == ["y", "kind"]
