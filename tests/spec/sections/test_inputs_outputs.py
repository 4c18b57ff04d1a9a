"""`model.inputs`, `model.join` and `model.outputs` as a spec writes them, and what is wrong with them."""

from __future__ import annotations

import pytest

from annpipe.errors import Problem
from annpipe.spec.sections.inputs_outputs import JOINS, read_inputs, read_join, read_outputs
from annpipe.spec.sections.spec import read_spec
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import Node


def node(text: str) -> Node:
    composed = compose(text, "spec.yaml")
    assert composed is not None
    return composed


def marked(text: str, problem: Problem) -> str:
    """The stretch of the text that a problem marks; of a list or a mapping the first sign."""
    assert problem.place is not None
    start = problem.place.column - 1
    return text.splitlines()[problem.place.line - 1][start : start + problem.place.length]


def test_stacks_have_columns_and_layers() -> None:
    """A word or a list of them; without columns the one of the stack's own name."""
    stacks, problems = read_inputs(node("{a: {columns: x*, layers: [Linear: 2]}, b: {columns: [u, v]}, c: {}}"))
    assert problems == []
    assert [stack.name.value for stack in stacks] == ["a", "b", "c"]
    assert [[column.value for column in stack.columns] for stack in stacks] == [["x*"], ["u", "v"], ["c"]]
    assert [[call.name for call in stack.layers] for stack in stacks] == [["Linear"], [], []]


def test_heads_have_layers_a_loss_a_weight_and_metrics() -> None:
    """The weight is 1 unless it is given."""
    heads, problems = read_outputs(
        node(
            "{y: {layers: [Linear: 1, ReLU], loss: L1Loss, weight: 0, metrics: [R2Score]},"
            " z: {layers: [Tanh], loss: L1Loss}}"
        )
    )
    assert problems == []
    assert [(head.name.value, head.loss.name, head.weight) for head in heads] == [
        ("y", "L1Loss", 0.0),
        ("z", "L1Loss", 1.0),
    ]
    assert [[call.name for call in head.layers] for head in heads] == [["Linear", "ReLU"], ["Tanh"]]
    assert [[call.name for call in head.metrics] for head in heads] == [["R2Score"], []]


@pytest.mark.parametrize("said", ["", "inputs: null, outputs: null, join: null, "])
def test_without_them_there_are_none(said: str) -> None:
    """Left out or null."""
    sections = "data: b, loss: c, optimizer: d, train: {epochs: 1}"
    text = f"{{version: 1, name: a, {sections}, model: {{{said}layers: [Linear: 1]}}}}"
    spec = read_spec(node(text), "spec.yaml")
    assert spec.problems == ()
    assert (list(spec.inputs), list(spec.outputs), spec.join) == ([], [], JOINS[0])


@pytest.mark.parametrize(
    ("text", "code", "words", "place"),
    [
        ("[a]", "wrong-type", "must be a mapping from names to {columns, layers}; found a list of 1", "["),
        ("{}", "wrong-type", "found a mapping", "{"),
        ("{a: [x]}", "wrong-type", "`model.inputs.a` must be a mapping of columns, layers; found a list of 1", "["),
        ("{a: {column: x}}", "unknown-option", "`model.inputs.a` has no option 'column'", "column"),
        ("{a: {columns: 3}}", "wrong-type", "must be names of columns; found the number 3", "3"),
        ("{a: {columns: [x, [y]]}}", "wrong-type", "must be names of columns; found a list of 1", "["),
        ("{a: {columns: []}}", "wrong-type", "must be names of columns; found a list of 0", "["),
    ],
)
def test_what_is_wrong_with_inputs(text: str, code: str, words: str, place: str) -> None:
    """At the innermost value."""
    _, (problem,) = read_inputs(node(text))
    assert (problem.code, marked(text, problem)) == (code, place)
    assert words in problem.message
    assert problem.help


@pytest.mark.parametrize(
    ("text", "code", "words", "place"),
    [
        ("{y: {loss: L1Loss}}", "missing-option", "`model.outputs.y.layers` is missing", "y"),
        ("{y: {layers: [Tanh]}}", "missing-option", "`model.outputs.y.loss` is missing", "y"),
        ("{y: {layers: [Tanh], loss: null}}", "missing-option", "`model.outputs.y.loss` is missing", "y"),
        ("{y: {layers: [Tanh], loss: [a]}}", "not-a-component", "model.outputs.y.loss", "["),
        *(
            (f"{{y: {{layers: [Tanh], loss: L1Loss, weight: {weight}}}}}", "wrong-type", "of at least 0", weight)
            for weight in ("-1", "true", ".nan", ".inf", "heavy")
        ),
        ("{y: {layers: [Tanh], loss: L1Loss, wieght: 1}}", "unknown-option", "has no option 'wieght'", "wieght"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_outputs(text: str, code: str, words: str, place: str) -> None:
    """Each is said once."""
    _, (problem,) = read_outputs(node(text))
    assert (problem.code, marked(text, problem)) == (code, place)
    assert words in problem.message


@pytest.mark.parametrize("word", JOINS)
def test_stacks_meet_in_one_of_a_few_ways(word: str) -> None:
    """Each of them is a word."""
    stacks, _ = read_inputs(node("{a: {}}"))
    assert read_join(node(word), stacks) == (word, [])


def test_a_join_of_nothing_and_an_unknown_one() -> None:
    """The nearest is named."""
    stacks, _ = read_inputs(node("{a: {}}"))
    join, (problem,) = read_join(node("concta"), stacks)
    assert (join, problem.code) == (JOINS[0], "wrong-type")
    assert "concat" in (problem.help or "")
    _, (problem,) = read_join(node("add"), [])
    assert problem.code == "wrong-value"
