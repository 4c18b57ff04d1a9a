"""One value of a spec changed at a path: replaced, appended, or added with the mappings that lead to it."""

from __future__ import annotations

from typing import Any

import pytest

from annpipe.errors import SpecError
from annpipe.spec.compose.change import Override, look_up, with_change
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import MappingNode, descend, plain

SPEC = """
data: {formula: {rows: 20, inputs: {x: 1}}}
model: [Linear: 4, ReLU]
loss: L1Loss
optimizer: {Adam: {lr: 1}}
train: {epochs: 2}
device: cpu
scheduler:
"""


def root(text: str = SPEC) -> MappingNode:
    composed = compose(text, "spec.yaml")
    assert isinstance(composed, MappingNode)
    return composed


def override(path: str, value: str | None = "7", *, appends: bool = False) -> Override:
    """As the command line says it."""
    argument = f"--set {path}{'+' if appends else ''}={value}" if value is not None else f"--unset {path}"
    node = compose(value, argument) if value is not None else None
    return Override(tuple(path.split(".")), argument, node, appends)


def changed(path: str, value: str = "7", *, appends: bool = False, text: str = SPEC) -> Any:
    """The section after a change."""
    return plain(with_change(root(text), override(path, value, appends=appends)))[path.partition(".")[0]]


@pytest.mark.parametrize(
    ("path", "value", "section"),
    [
        ("train.epochs", "7", {"epochs": 7}),
        ("train.batch_size", "7", {"epochs": 2, "batch_size": 7}),
        ("train", "{steps: 7}", {"steps": 7}),
        ("data.formula.inputs.x", "[1, 2]", {"formula": {"rows": 20, "inputs": {"x": [1, 2]}}}),
        ("model.0.Linear", "7", [{"Linear": 7}, "ReLU"]),
        ("model.1", "Tanh", [{"Linear": 4}, "Tanh"]),
        ("optimizer.Adam.lr", "1e-3", {"Adam": {"lr": 0.001}}),
        ("optimizer.Adam.betas.x", "7", {"Adam": {"lr": 1, "betas": {"x": 7}}}),
        ("seed", "7", 7),
        ("tags.a", "7", {"a": 7}),
        ("scheduler.StepLR.step_size", "7", {"StepLR": {"step_size": 7}}),
        ("tracking.uri", "a", {"uri": "a"}),
    ],
)
def test_a_value_is_replaced_or_added(path: str, value: str, section: Any) -> None:
    """Everything else stays; a section that is not there is made."""
    assert changed(path, value) == section
    before = plain(root())
    after = plain(with_change(root(), override(path, value)))
    name = path.partition(".")[0]
    assert {key: after[key] for key in before if key != name} == {key: before[key] for key in before if key != name}


@pytest.mark.parametrize(
    ("path", "value", "section"),
    [
        ("device.threads", "2", {"type": "cpu", "threads": 2}),
        ("loss.L1Loss.reduction", "sum", {"L1Loss": {"reduction": "sum"}}),
        ("model.init.weight", "zeros_", {"layers": [{"Linear": 4}, "ReLU"], "init": {"weight": "zeros_"}}),
        ("model.layers.1", "Tanh", {"layers": [{"Linear": 4}, "Tanh"]}),
        ("data.split.val", "0.2", {"formula": {"rows": 20, "inputs": {"x": 1}}, "split": {"val": 0.2}}),
    ],
)
def test_a_short_form_opens_into_the_mapping_that_it_is_short_for(path: str, value: str, section: Any) -> None:
    """A device, a bare name, a list of layers."""
    assert changed(path, value) == section


def test_the_name_of_a_data_component_alone_opens_too() -> None:
    """With a place for its split."""
    assert changed("data.split.val", "0.2", text="data: spiral\n") == {"spiral": {}, "split": {"val": 0.2}}


def test_an_option_by_position_stays_beneath() -> None:
    """`Linear: 4` and `--set model.0.Linear.bias=false`: the list of options is known to the registry alone."""
    after = with_change(root(), override("model.0.Linear.bias", "false"))
    layers = plain(after)["model"]
    assert layers[0] == {"Linear": {"bias": False}}
    options, _ = descend(after, ("model", 0, "Linear"))
    assert isinstance(options, MappingNode)
    assert options.beneath is not None
    assert plain(options.beneath) == 4


@pytest.mark.parametrize(
    ("path", "value", "section"),
    [
        ("model", "{Linear: 1}", [{"Linear": 4}, "ReLU", {"Linear": 1}]),
        ("metrics", "R2Score", ["R2Score"]),
        ("plugins", "./a.py", ["./a.py"]),
    ],
)
def test_a_value_is_appended(path: str, value: str, section: Any) -> None:
    """Also to a list that is not there yet."""
    assert changed(path, value, appends=True) == section


@pytest.mark.parametrize(
    ("path", "appends", "message", "marked"),
    [
        ("trian.epochs", False, "there is no 'trian' here", "trian"),
        ("optimizer.Adm.lr", False, "there is no 'Adm' here", "Adm"),
        ("model.9", False, "'9' is no position of this list; it has 0 to 1", "9"),
        ("model.x", False, "'x' is no position of this list", "x"),
        ("loss.L2Loss.reduction", False, "there is no 'L2Loss' here", "L2Loss"),
        ("train.epochs", True, "`+=` appends to a list, and this is none", "train.epochs"),
    ],
)
def test_a_path_that_leads_nowhere_is_marked_at_its_step(path: str, appends: bool, message: str, marked: str) -> None:
    """On the command line."""
    with pytest.raises(SpecError) as caught:
        changed(path, appends=appends)
    (problem,) = caught.value.problems
    place = problem.place
    assert place is not None
    assert place.on_command_line
    assert place.file[place.column - 1 : place.column - 1 + place.length] == marked
    assert message in problem.message


@pytest.mark.parametrize("path", ["model.0.Linear", "train", "data.formula.inputs.x"])
def test_a_path_that_is_there_is_found(path: str) -> None:
    """So it can be unset."""
    look_up(root(), override(path, None))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("train.steps", "there is no 'steps' here"),
        ("model.2", "'2' is no position of this list"),
        ("train.epochs.x", "'x' leads into a plain value"),
    ],
)
def test_a_path_that_breaks_off_says_where(path: str, message: str) -> None:
    """What is not there cannot be unset."""
    with pytest.raises(SpecError, match=message):
        look_up(root(), override(path, None))
