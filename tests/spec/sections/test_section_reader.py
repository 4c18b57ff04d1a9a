"""Reading sections: a section at fault is stood in for, and every problem is noted with its place."""

from __future__ import annotations

import pytest

from annpipe.spec.sections.models import Tracking, Train
from annpipe.spec.sections.section_reader import SectionReader, is_given
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import MappingNode


def reader(text: str) -> SectionReader:
    root = compose(text, "spec.yaml")
    assert isinstance(root, MappingNode)
    return SectionReader(root)


def said(reading: SectionReader) -> list[tuple[str, str]]:
    """The code and the message of each problem."""
    return [(problem.code, problem.message) for problem in reading.problems]


@pytest.mark.parametrize(
    ("text", "given"), [("a: 0\n", True), ("a: ''\n", True), ("a: []\n", True), ("a: null\n", False), ("b: 1\n", False)]
)
def test_a_null_says_nothing(text: str, given: bool) -> None:
    """An empty list or text does."""
    assert is_given(reader(text).root.get("a")) is given


def test_a_section_is_checked_by_its_model() -> None:
    """All of its faults at once, each in the user's words."""
    reading = reader("train: {epochs: 3, batch_size: 8}\ntracking: {wait_seconds: -1, expriment: a, uri: ''}\n")
    train = reading.section(Train, reading.root.get("train"), "train")
    assert (train.epochs, train.batch_size, reading.problems) == (3, 8, [])
    tracking = reading.section(Tracking, reading.root.get("tracking"), "tracking")
    assert tracking.wait_seconds == Tracking().wait_seconds  # a stand-in
    assert {(problem.code, problem.place.column if problem.place else 0) for problem in reading.problems} == {
        ("wrong-type", 26), ("unknown-option", 30), ("wrong-type", 49)
    }  # fmt: skip
    assert any("did you mean 'experiment'?" in (problem.help or "") for problem in reading.problems)


EPOCHS = "`train.epochs` must be a whole number greater than 0 or null; found"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("train: null\n", []),
        ("train: [1]\n", [("wrong-type", "`train` must be a mapping; found a list of 1")]),
        ("train: fast\n", [("wrong-type", "`train` must be a mapping; found the word 'fast'")]),
        ("train: {epochs: 0}\n", [("wrong-type", f"{EPOCHS} the number 0")]),
        ("train: {epochs: true}\n", [("wrong-type", f"{EPOCHS} true")]),
    ],
)  # fmt: skip
def test_what_is_no_section_is_stood_in_for(text: str, problems: list[tuple[str, str]]) -> None:
    """By one of defaults."""
    reading = reader(text)
    train = reading.section(Train, reading.root.get("train"), "train")
    assert (train.epochs, train.batch_size) == (None, "all")
    assert said(reading) == problems


def test_a_component_stands_alone() -> None:
    """One key, or a word."""
    reading = reader("loss: {L1Loss: {reduction: sum}}\nscheduler: StepLR\noptimizer: [1]\n")
    assert (reading.call("loss").name, reading.call("scheduler").name) == ("L1Loss", "StepLR")
    assert reading.call("average").name == ""
    assert reading.problems == []
    assert reading.call("optimizer").name == ""
    assert [code for code, _ in said(reading)] == ["not-a-component"]


def test_components_in_a_list() -> None:
    """One that is none costs itself alone; a model without a layer is a problem."""
    reading = reader("metrics: [R2Score, 3, {Accuracy: {threshold: 0}}]\nmodel: []\nplots: null\n")
    assert [call.name for call in reading.calls("metrics")] == ["R2Score", "Accuracy"]
    assert reading.calls("callbacks") == ()
    assert reading.calls("model") == ()
    assert [code for code, _ in said(reading)] == ["not-a-component", "missing-section"]


@pytest.mark.parametrize(
    ("data", "name", "problems"),
    [
        ("{table: {a: 1}, split: {val: 0.2}}", "table", []),
        ("spiral", "spiral", []),
        ("{split: {val: 0.2}}", "", [("not-a-component", "`data` names no data component")]),
        ("{table: {a: 1}, spilt: {val: 0.2}}", "table", [("unknown-option", "`data` has no option 'spilt'")]),
        ("{}", "", [("not-a-component", "`data` names no data component")]),
    ],
)
def test_the_component_beside_other_keys(data: str, name: str, problems: list[tuple[str, str]]) -> None:
    """A misspelt key is not taken for a second component."""
    reading = reader(f"data: {data}\n")
    assert reading.component_beside("data", ("split", "transforms")).name == name
    assert said(reading) == problems
