"""What yaml-language-server makes of the schema, asked over its own protocol: completion, hover and marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import pytest

pytestmark = pytest.mark.editor

ROOT = Path(__file__).parents[3]
GALLERY = sorted((ROOT / "pipelines").rglob("*.yaml"))
MODELINE = "# yaml-language-server: $schema=annpipe.schema.json\n"
HEAD = f"""{MODELINE}version: 1
name: edited
data: {{table: {{inputs: {{x: [0, 1]}}, targets: {{y: [0, 1]}}}}}}
loss: L1Loss
train: {{epochs: 3}}
"""


class Server(Protocol):
    """What the tests ask of a language server."""

    hover: Callable[[str], str]
    completion: Callable[[str], list[dict[str, Any]]]
    diagnostics: Callable[[str], list[dict[str, Any]]]


def labels(items: Iterable[dict[str, Any]]) -> set[str]:
    """The labels of what is offered."""
    return {item["label"] for item in items}


def inserted(items: Iterable[dict[str, Any]], label: str) -> set[str]:
    """What choosing a label would write, without the editor's marks for the cursor."""
    return {item["textEdit"]["newText"].rstrip() for item in items if item["label"] == label}


@pytest.mark.parametrize("written", ["optimizer:\n  |", "optimizer:\n  |\n", "optimizer:\n  Ad|\n", "optimizer: {A|}"])
def test_every_optimizer_is_offered(server: Server, written: str) -> None:
    """Those that need options too."""
    offered = labels(server.completion(HEAD + "model: [Linear: 1]\n" + written))
    assert {"Adam", "AdamW", "SGD", "Muon"} <= offered
    assert "Linear" not in offered


def test_bare_names_are_offered_behind_the_colon(server: Server) -> None:
    """Only those that need no options: the others would be wrong there."""
    assert "L1Loss" in labels(server.completion(MODELINE + "loss: |\n"))
    offered = labels(server.completion(MODELINE + "scheduler: |\n"))
    assert "LinearLR" in offered
    assert "StepLR" not in offered


@pytest.mark.parametrize("written", ["\n  Adam:\n    |", "\n  Adam:\n    amsgrad: true\n    |\n", " {Adam: {l|}}"])
def test_the_options_of_a_component_are_offered_with_their_defaults(server: Server, written: str) -> None:
    """What the engine fills in is not."""
    offered = server.completion(HEAD + "model: [Linear: 1]\noptimizer:" + written)
    assert {"lr", "weight_decay", "betas"} <= labels(offered)
    assert "params" not in labels(offered)
    assert inserted(offered, "weight_decay") == {"weight_decay: ${1:0}"}
    lr = next(item for item in offered if item["label"] == "lr")
    assert "the learning rate" in str(lr["documentation"])


@pytest.mark.parametrize("written", ["- |", "- ReLU\n- |", "- Li|"])
def test_layers_are_offered_in_the_model(server: Server, written: str) -> None:
    """With what they require, and bare where they require nothing."""
    offered = server.completion(HEAD + "optimizer: Adam\nmodel:\n" + written)
    assert {"Linear", "ReLU", "Conv2d"} <= labels(offered)
    assert any("out_features:" in text for text in inserted(offered, "Linear"))
    assert "ReLU" in inserted(offered, "ReLU")
    assert not any("in_features" in text for text in inserted(offered, "Linear"))


def test_sections_and_choices_are_offered(server: Server) -> None:
    """At the top, inside a section, and where a word is one of a few."""
    assert {"model", "optimizer", "extends"} <= labels(server.completion(MODELINE + "|\nname: a\n"))
    assert {"epochs", "batch_size"} <= labels(server.completion(MODELINE + "train:\n  |\n"))
    assert {"formula", "table", "split"} <= labels(server.completion(MODELINE + "data:\n  |\n"))
    assert {"mean", "sum"} <= labels(server.completion(MODELINE + "loss:\n  L1Loss:\n    reduction: |\n"))
    assert {"true", "false"} <= labels(server.completion(MODELINE + "model:\n- Linear:\n    bias: |\n"))


def test_distributions_are_offered_for_the_inputs_of_a_formula(server: Server) -> None:
    """A component inside a component."""
    drawn = "data:\n  formula:\n    inputs:\n      x:\n        |\nname: a\n"
    assert {"Uniform", "Normal"} <= labels(server.completion(MODELINE + drawn))


@pytest.mark.parametrize("written", ["- L|inear: 3", "- L|inear: [3]", "- L|inear: {out_features: 3}"])
def test_hover_on_a_component_shows_its_words(server: Server, written: str) -> None:
    """Summary, options in order and origin, whatever the spelling."""
    shown = server.hover(MODELINE + "model:\n" + written + "\n")
    assert "A learned affine map of the last dimension" in shown
    assert "bias = true" in shown
    assert "torch" in shown


def test_hover_on_a_bare_name_shows_that_component_alone(server: Server) -> None:
    """Not all the others that could stand there."""
    shown = server.hover(MODELINE + "model:\n- Re|LU\n")
    assert "x above 0, 0 below." in shown
    assert "Sigmoid" not in shown


def test_hover_on_an_option_and_on_a_section_shows_their_words(server: Server) -> None:
    """Meaning, type and default."""
    shown = server.hover(MODELINE + "optimizer: {Adam: {l|r: 0.1}}\n")
    assert "the learning rate; a number at least 0; 0.001 by default" in shown
    assert "passes over the train split" in server.hover(MODELINE + "train: {e|pochs: 3}\n")
    assert "how the parameters are stepped" in server.hover(MODELINE + "opt|imizer: Adam\n")


@pytest.mark.parametrize(
    ("section", "marked", "message"),
    [
        ("optimizer: {Adamm: {lr: 3}}", "Adamm", "Adamm"),
        ("optimizer: Adamm", "Adamm", "must be an optimizer"),
        ("optimizer: {Adam: {lrr: 3}}", "lrr", "lrr"),
        ("optimizer: {Adam: {lr: fast}}", "fast", "must be a number at least 0"),
        ("optimizer: {Adam: {lr: -1}}", "-1", "minimum of 0"),
        ("optimizer: {Adam: [0.1, [0.9, 1.5]]}", "1.5", "maximum of 1"),
        ("optimizer: {Adam: {amsgrad: yes}}", "yes", "must be true or false"),
        ("model: [Lineer: 3]", "Lineer", "Lineer"),
        ("model: [Linear]", "Linear", "must be a layer"),
        ("model: [Linear: 1.5]", "1.5", "must be a whole number at least 1"),
        ("model: [Linear: {bias: true}]", "Linear", "out_features"),
        ("model: [Conv2d: 3]", "3", "must be a list or a mapping of options: out_channels, kernel_size"),
        ("model: [Tanh: 3]", "3", "Tanh takes no options"),
        ("model: Linear", "Linear", "must be a list"),
        ("train: {epochs: 3, batch_size: few}", "few", "must be 'all' or a whole number greater than 0"),
        ("device: gpu", "gpu", "must be auto, cpu, cuda, mps"),
        ("optimiser: Adam", "optimiser", "optimiser"),
    ],
)
def test_a_mistake_is_marked_where_it_stands(server: Server, section: str, marked: str, message: str) -> None:
    """One mark, under the word at fault, on its line."""
    sections = {"model": "model: [ReLU]", "optimizer": "optimizer: Adam", "train": ""}
    own = "\n".join((sections | {section.partition(":")[0]: section}).values())
    text = HEAD.replace("train: {epochs: 3}\n", "") if section.startswith("train") else HEAD
    lines = (text + own).splitlines()
    (found,) = server.diagnostics(text + own)
    start, end = found["range"]["start"], found["range"]["end"]
    assert start["line"] == lines.index(section)
    assert section[start["character"] : end["character"]] == marked
    assert message in found["message"]


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_a_right_spec_has_no_marks(server: Server, path: Path) -> None:
    """Every spec of the gallery."""
    assert server.diagnostics(MODELINE + path.read_text(encoding="utf-8")) == []


def test_variables_and_extending_are_not_marked(server: Server) -> None:
    """A variable may stand for any value, and an extending spec may be in parts."""
    text = "extends: base.yaml\nvariables: {lr: 0.1, width: 8}\noptimizer: {Adam: {lr: '${lr}'}}\n"
    text += "model: [Linear: '${width}', '${last}']\ntrain: {batch_size: 3}\ndata: {split: {val: 0.1}}\n"
    assert server.diagnostics(MODELINE + text) == []
