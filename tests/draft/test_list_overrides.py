"""Mappings that an override laid over a list become changes of its positions again."""

from __future__ import annotations

import pytest

from annpipe.draft.list_overrides import settled
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, plain


def node(text: str) -> Node:
    composed = compose(text, "spec.yaml")
    assert composed is not None
    return composed


def over(text: str, beneath: str) -> MappingNode:
    """A mapping that lies over something."""
    mapping = node(text)
    assert isinstance(mapping, MappingNode)
    return MappingNode(mapping.pairs, mapping.place, beneath=node(beneath))


@pytest.mark.parametrize(
    ("mapping", "beneath", "expected"),
    [
        ("{0: {Linear: {bias: false}}}", "[{Linear: {out: 4}}, ReLU]", [{"Linear": {"out": 4, "bias": False}}, "ReLU"]),
        ("{1: Tanh}", "[a, b, c]", ["a", "Tanh", "c"]),
        ("{0: x, 2: y}", "[a, b, c]", ["x", "b", "y"]),
        ("{a: 1}", "[a, b]", {"a": 1}),
        ("{0: x, a: 1}", "[a, b]", {"0": "x", "a": 1}),
        ("{0: x}", "word", {"0": "x"}),
    ],
)  # fmt: skip
def test_names_that_are_positions_change_the_list(mapping: str, beneath: str, expected: object) -> None:
    """Where all of them are, and a list lies beneath; else the mapping stays."""
    result, problems = settled(over(mapping, beneath))
    assert (plain(result), problems) == (expected, [])


def test_a_position_that_the_list_has_not_is_a_problem() -> None:
    """The others are changed all the same."""
    result, (problem,) = settled(over("{0: x, 5: y}", "[a, b]"))
    assert plain(result) == ["x", "b"]
    assert problem.message == "'5' is no position of this list; it has 0 to 1"
    assert problem.place is not None
    assert problem.place.column == 8


def test_lists_inside_lists_are_changed_too() -> None:
    """At every depth."""
    outer = ListNode((node("a"), over("{1: x}", "[b, c]")), node("a").place)
    result, problems = settled(outer)
    assert (plain(result), problems) == (["a", ["b", "x"]], [])


def test_what_lies_beneath_may_be_named_by_the_caller() -> None:
    """Where the node itself does not know it."""
    result, problems = settled(node("{1: x}"), node("[a, b]"))
    assert (plain(result), problems) == (["a", "x"], [])
    assert plain(settled(node("{1: x}"))[0]) == {"1": "x"}
