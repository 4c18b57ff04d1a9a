"""`model` and `blocks`: a list of layers, a single layer, or the long form with its parts."""

from __future__ import annotations

import pytest

from annpipe.spec.sections.model_section import ModelReading, long_form
from annpipe.spec.sections.section_reader import SectionReader
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import MappingNode


def reading(text: str) -> tuple[ModelReading, SectionReader]:
    root = compose(text, "spec.yaml")
    assert isinstance(root, MappingNode)
    sections = SectionReader(root)
    return ModelReading(sections), sections


@pytest.mark.parametrize(
    ("model", "is_long"),
    [
        ("[Linear: 1]", False),
        ("{Linear: 1}", False),
        ("{join: add}", False),
        ("{layers: [Linear: 1]}", True),
        ("{init: {weight: zeros_}, join: add}", True),
        ("{inputs: {a: {}}}", True),
        ("{}", False),
    ],
)
def test_the_long_form_is_known_by_its_keys(model: str, is_long: bool) -> None:
    """But `join` alone is a layer."""
    root = compose(f"model: {model}\n", "spec.yaml")
    assert isinstance(root, MappingNode)
    assert (long_form(root) is not None) is is_long


@pytest.mark.parametrize(
    ("model", "names", "messages"),
    [
        ("[Linear: 1, ReLU]", ["Linear", "ReLU"], []),
        ("{Linear: 1}", ["Linear"], []),
        ("{layers: [Linear: 1]}", ["Linear"], []),
        ("{inputs: {a: {}}}", [], []),
        ("{layers: null, outputs: {y: {}}}", [], []),
        ("{init: {weight: zeros_}}", [], ["`model.layers` is missing"]),
        ("{layers: [Linear: 1], lyers: 1}", ["Linear"], ["`model` has no option 'lyers'"]),
    ],
)
def test_layers_in_every_form(model: str, names: list[str], messages: list[str]) -> None:
    """Stacks of inputs or heads may be all that there is."""
    parts, sections = reading(f"model: {model}\n")
    assert [call.name for call in parts.model()] == names
    assert [problem.message for problem in sections.problems] == messages


def test_init_and_freeze_have_patterns() -> None:
    """Each with its initializer; a number is the name of a layer."""
    parts, sections = reading(
        "model: {layers: [Linear: 1], init: {weight: zeros_, '*.bias': {ones_: }}, freeze: [0, a.weight]}\n"
    )
    assert [(key.value, call.name) for key, call in parts.init()] == [("weight", "zeros_"), ("*.bias", "ones_")]
    assert [node.value for node in parts.freeze()[0]] == [0, "a.weight"]
    assert sections.problems == []


def test_freeze_may_be_for_some_epochs() -> None:
    """One pattern or several, beside those that are frozen for good."""
    parts, sections = reading(
        "model: {layers: [Linear: 1], freeze: [a, {layers: b.*, until: 5}, {layers: [0, c], until: 1}]}\n"
    )
    words, thaws = parts.freeze()
    assert [node.value for node in words] == ["a"]
    assert [([node.value for node in thaw.patterns], thaw.until) for thaw in thaws] == [(["b.*"], 5), ([0, "c"], 1)]
    assert sections.problems == []


INIT = "`model.init` must be a mapping from names of parameters to initializers; found a list of 1"
UNTIL = "`model.freeze.until` must be a whole number of epochs, 1 or more"
LAYERS = "`model.freeze.layers`"
FREEZE = "`model.freeze` holds names of parameters; found"


@pytest.mark.parametrize(
    ("part", "messages"),
    [
        ("init: [zeros_]", [INIT]),
        ("freeze: encoder", ["`model.freeze` must be a list of names of parameters; found the word 'encoder'"]),
        ("freeze: [true, '', a]", [f"{FREEZE} true", f"{FREEZE} the text ''"]),
        ("init: null, freeze: null", []),
        ("freeze: [{layers: a, until: 0}]", [f"{UNTIL}; found the number 0"]),
        ("freeze: [{layers: [true], until: 1}]", [f"{LAYERS} holds names of parameters; found true"]),
        ("freeze: [{layers: a}]", [f"{UNTIL}, which is missing"]),
        ("freeze: [{until: 3, epoch: 2}]", ["`model.freeze` has no option 'epoch'", f"{LAYERS} names no parameter"]),
    ],
)  # fmt: skip
def test_what_is_no_pattern(part: str, messages: list[str]) -> None:
    """Each wrong one is said."""
    parts, sections = reading(f"model: {{layers: [Linear: 1], {part}}}\n")
    assert list(parts.init()) == []
    parts.freeze()
    assert [problem.message for problem in sections.problems] == messages


def test_blocks_are_named_lists_of_layers() -> None:
    """A name of small letters; a block without a layer is a problem."""
    parts, sections = reading("blocks: {hidden: [Linear: 3, ReLU], Hidden: [ReLU], empty: []}\n")
    blocks = {str(key.value): [call.name for call in calls] for key, calls in parts.blocks()}
    assert blocks == {"hidden": ["Linear", "ReLU"], "empty": []}
    assert [problem.message for problem in sections.problems] == [
        "a block cannot be called 'Hidden'",
        "the block 'empty' has no layer",
    ]
    parts, sections = reading("blocks: [ReLU]\n")
    assert list(parts.blocks()) == []
    assert [problem.code for problem in sections.problems] == ["wrong-type"]


@pytest.mark.parametrize(
    ("beside", "names"),
    [("loss: L1Loss\nmetrics: [R2Score]\n", ["loss", "metrics"]), ("loss: null\nmetrics: []\n", [])],
)
def test_what_heads_have_stands_not_beside_them(beside: str, names: list[str]) -> None:
    """A loss and metrics of the whole model."""
    parts, sections = reading(f"model: {{outputs: {{y: {{layers: [Tanh], loss: L1Loss}}}}}}\n{beside}")
    assert [head.name.value for head in parts.outputs()] == ["y"]
    assert [problem.message.split("`")[1] for problem in sections.problems] == names
    assert {problem.code for problem in sections.problems} <= {"outputs"}
