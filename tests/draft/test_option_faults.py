"""What is wrong with the options of a component, in words, at the innermost value that is wrong."""

from __future__ import annotations

import pytest

from annpipe.draft.component import Component
from annpipe.draft.option_faults import (
    missing_options,
    mixed_options,
    no_component,
    option_problem,
    option_refused,
    show_options,
    wrong_types,
)
from annpipe.errors import LimitError, OptionError, Place, Problem
from annpipe.expression import Expression, ExpressionFault
from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.examples import Examples
from annpipe.registry.registry import Registry
from annpipe.registry.traits import LayerTraits
from annpipe.spec.sections.component import Call
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, plain

WIDTH = Parameter("width", "int", required=True, bounds={"ge": 1})
DEPTH = Parameter("depth", "int", required=True)
ENTRY = Entry("layer", "Own", "own:Own", (WIDTH, DEPTH, Parameter("bias", "bool", True)), "", Origin())


def node(text: str) -> Node:
    composed = compose(text, "spec.yaml")
    assert composed is not None
    return composed


@pytest.fixture(scope="module")
def examples(registry_entries: Registry) -> Examples:
    return Examples(registry_entries)


def marked(text: str, problem: Problem) -> str:
    """The stretch of a text of one line that a problem marks."""
    assert problem.place is not None
    return text[problem.place.column - 1 : problem.place.column - 1 + problem.place.length]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ([WIDTH], "Own needs the option 'width': a whole number at least 1"),
        ([WIDTH, DEPTH], "Own needs the options 'width' (a whole number at least 1) and 'depth' (a whole number)"),
    ],
)
def test_missing_options_are_one_problem(missing: list[Parameter], message: str, examples: Examples) -> None:
    """With an example, which is added where options are named already."""
    bare = missing_options(Call("Own", None, Place("spec.yaml", 1, 1)), ENTRY, missing, examples)
    assert (bare.code, bare.message) == ("missing-option", message)
    assert "write it as in `Own: " in (bare.help or "")
    named = missing_options(Call("Own", node("{bias: true}"), Place("spec.yaml", 1, 1)), ENTRY, missing, examples)
    assert (named.help or "").startswith("add `width: ")
    assert ("depth: " in (named.help or "")) == (len(missing) == 2)


def test_where_options_can_be_read() -> None:
    """A block of the spec has none."""
    assert show_options(ENTRY) == "`annpipe show layer Own` shows its options"
    block = Entry("layer", "hidden", "", (), "", Origin(), traits=LayerTraits(block=True))
    assert show_options(block) == "a block of the spec is used by its name: `- hidden`"


@pytest.mark.parametrize(
    ("text", "path", "message", "help_"),
    [
        ("3", "loss", "`loss` must be a loss; found the number 3", "as in `"),
        (
            "[Linear: 1]",
            "model.0",
            "`model.0` must be a layer; found a list of 1",
            "take the inner dash",
        ),
    ],
)
def test_a_value_that_is_no_component(text: str, path: str, message: str, help_: str, examples: Examples) -> None:
    """With one that people know as an example."""
    problem = no_component(node(text), path, path.partition(".")[0].replace("model", "layer"), examples)
    assert (problem.code, problem.message) == ("not-a-component", message)
    assert help_ in (problem.help or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[32, depth: 3]", "Own is given 'depth' by name, in a list of options without names"),
        ("[32, 3]", None),
        ("[32, other: 3]", None),
        ("[width: 3]", "Own is given 'width' by name, in a list of options without names"),
    ],
)
def test_a_list_of_options_has_no_names(text: str, message: str | None) -> None:
    """One by name among them is told with the whole mapping."""
    items = node(text)
    assert isinstance(items, ListNode)
    problem = mixed_options(items, ENTRY)
    assert (problem and problem.message) == message
    assert problem is None or "`Own: {width: …" in (problem.help or "")


EITHER = "`Own.x` must be all whole numbers or all words"


@pytest.mark.parametrize(
    ("type_", "bounds", "text", "message", "stretch"),
    [
        ("int", {"ge": 1}, "0", "`Own.x` must be a whole number at least 1; found the number 0", "0"),
        ("list[int]", {}, "[1, a, 2]", "`Own.x` holds whole numbers; found the word 'a'", "a"),
        ("list[int]", {"ge": 0}, "[1, -2]", "`Own.x` holds whole numbers at least 0; found the number -2", "-2"),
        ("dict[str, float]", {}, "{a: 1, b: c}", "`Own.x.b` must be a number; found the word 'c'", "c"),
        ("dict[str, list[int]]", {}, "{a: [1, b]}", "`Own.x.a` holds whole numbers; found the word 'b'", "b"),
        ("tuple[int, int]", {}, "[1]", "`Own.x` must be a list of 2, each a whole number; found a list of 1", "["),
        ("list[int] | list[str]", {}, "[1, 2, a]", f"{EITHER}; found the word 'a'", "a"),
        ("'mean' | 'sum'", {}, "men", "`Own.x` must be one of 'mean', 'sum'; found the word 'men'", "men"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_marked_alone(
    type_: str, bounds: dict[str, float], text: str, message: str, stretch: str, examples: Examples
) -> None:
    """Inside a list or a mapping where its type has one."""
    value = node(text)
    problems = list(wrong_types(ENTRY, Parameter("x", type_, bounds=bounds), value, plain(value), examples))
    assert [(problem.message, marked(text, problem)) for problem in problems] == [(message, stretch)]


def test_every_wrong_value_is_told_and_a_right_one_is_not(examples: Examples) -> None:
    """The nearest word is named, where there is one."""
    value = node("[1, a, 2, b]")
    parameter = Parameter("x", "list[int]")
    assert len(list(wrong_types(ENTRY, parameter, value, plain(value), examples))) == 2
    word = node("men")
    (problem,) = wrong_types(ENTRY, Parameter("x", "'mean' | 'sum'"), word, "men", examples)
    assert problem.help == "did you mean 'mean'?"


def component(text: str) -> Component:
    mapping = node(text)
    assert isinstance(mapping, MappingNode)
    nodes = {str(key.value): value for key, value in mapping.pairs}
    return Component("data", "own", plain(mapping), Place("spec.yaml", 9, 9), nodes)


@pytest.mark.parametrize(
    ("option", "message", "stretch"),
    [
        ("rows", "`own.rows`: is wrong", "3"),
        ("inputs.x", "`own.inputs.x`: is wrong", "x"),
        ("inputs.a.b", "`own.inputs.a.b`: is wrong", "a.b"),
        ("inputs.none", "`own.inputs.none`: is wrong", "{"),
    ],
)
def test_a_fault_of_the_data_is_at_its_option(option: str, message: str, stretch: str) -> None:
    """At the key below an option, which may have a dot of its own."""
    text = "{rows: 3, inputs: {x: 1, a.b: 2}}"
    problem = option_problem(component(text), OptionError(option, "is wrong", help="mend it"))
    assert (problem.code, problem.message, problem.help) == ("wrong-value", message, "mend it")
    assert marked(text, problem) == stretch


def test_a_fault_without_an_option_is_at_the_component() -> None:
    """A limit of untrusted specs has a code of its own."""
    data = component("{rows: 3}")
    problem = option_problem(data, LimitError("other", "is too much"))
    assert (problem.code, problem.message, problem.place) == ("untrusted-limit", "own: is too much", data.place)
    refused = option_refused(data, OptionError("rows", "is odd"))
    assert (refused.message, refused.place) == ("`own.rows`: is odd", data.nodes["rows"].place)
    assert option_refused(data, OptionError("other", "is odd")).place == data.place


def test_a_fault_of_a_formula_is_inside_it() -> None:
    """Under the caret of the formula."""
    text = "{targets: {y: x + foo(x)}}"
    with pytest.raises(ExpressionFault) as caught:
        Expression("x + foo(x)")
    error = OptionError("targets.y", "is wrong")
    error.__cause__ = caught.value
    problem = option_problem(component(text), error)
    assert (problem.code, marked(text, problem)) == ("formula", "foo")
