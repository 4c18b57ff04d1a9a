"""Nodes of a spec's text: the values of YAML 1.2, the way to a value, and what was written in words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from annpipe.errors import SpecError
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import MappingNode, Node, descend, in_words, leaves, plain


def node(text: str) -> Node:
    composed = compose(text, "spec.yaml")
    assert composed is not None
    return composed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("null", "~", "Null", "NULL")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "FALSE")),
        *((text, text) for text in ("yes", "on", "nULL", "tRue", "a1", "017", "1_000", "0b1", "1:30")),
        *((text, text) for text in ("+", "-a", ".", "1e", "0x")),
        *((text, int(text)) for text in ("0", "-7", "+12", "123456789012345678901")),
        ("0x1F", 31),
        ("0o17", 15),
        *((text, float(text)) for text in ("1.5", "-.5", "1.", "1e3", "+1.5E-3", "0.0")),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("'1'", "1"),
        ('"null"', "null"),
    ],
)  # fmt: skip
def test_values_are_those_of_the_core_schema(text: str, value: object) -> None:
    """Of YAML 1.2 (section 10.3.2), but that a number with a leading zero is a word; quotes make text."""
    found = plain(node(f"a: {text}"))["a"]
    assert (type(found), found) == (type(value), value)


def test_not_a_number_is_one() -> None:
    """In the three ways to write it."""
    assert all(math.isnan(value) for value in plain(node("[.nan, .NaN, .NAN]")))


def test_a_number_of_very_many_digits_is_refused() -> None:
    """Converting it would take quadratic time; a long text is no number."""
    with pytest.raises(SpecError, match="too many digits"):
        node(f"a: {'9' * 1001}")
    assert plain(node(f"a: {'9' * 1000}"))["a"] == int("9" * 1000)
    assert plain(node(f"a: '{'9' * 2000}'"))["a"] == "9" * 2000


TREE = "a: {b: [1, {c: x}], d: null}\ne: 'two words'\n"


@pytest.mark.parametrize(
    ("path", "value", "taken"),
    [
        ((), {"a": {"b": [1, {"c": "x"}], "d": None}, "e": "two words"}, 0),
        (("a", "b", 1, "c"), "x", 4),
        (("a", "b", 2, "c"), [1, {"c": "x"}], 2),
        (("a", "b", -1), [1, {"c": "x"}], 2),
        (("a", "b", "1"), [1, {"c": "x"}], 2),
        (("a", "x"), {"b": [1, {"c": "x"}], "d": None}, 1),
        (("e", "x"), "two words", 1),
    ],
)
def test_a_path_leads_as_far_as_it_can(path: tuple[str | int, ...], value: Any, taken: int) -> None:
    """And says how far that was."""
    reached, steps = descend(node(TREE), path)
    assert (plain(reached), steps) == (value, taken)


def test_every_scalar_has_its_path() -> None:
    """By which it is found again."""
    tree = node(TREE)
    found = {path: scalar.value for path, scalar in leaves(tree)}
    assert found == {("a", "b", 0): 1, ("a", "b", 1, "c"): "x", ("a", "d"): None, ("e",): "two words"}
    assert all(descend(tree, path)[0] is scalar for path, scalar in leaves(tree))


def test_a_mapping_is_asked_by_key() -> None:
    """In the order written; what is missing is None, which a null is not."""
    mapping = node("b: 1\na: null\n")
    assert isinstance(mapping, MappingNode)
    assert mapping.keys == ["b", "a"]
    key, value = mapping.key("a"), mapping.get("a")
    assert key is not None
    assert value is not None
    assert (key.place.line, key.place.column, key.place.length) == (2, 1, 1)
    assert (value.place.line, value.place.column) == (2, 4)
    assert mapping.get("c") is mapping.key("c") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing"),
        ("true", "true"),
        ("1e-3", "the number 1e-3"),
        ("fast", "the word 'fast'"),
        ("very fast", "the text 'very fast'"),
        ("'3'", "the text '3'"),
        ("[1, 2]", "a list of 2"),
        ("{a: 1}", "a mapping"),
        ("a" * 60, f"the word '{'a' * 39}…'"),
        ("http://ann:canary@host/" + "a" * 60, f"the word 'http://***@host/{'a' * 23}…'"),
    ],
)
def test_what_was_written_in_words(text: str, words: str) -> None:
    """Cut where it is long, and without a password."""
    value = node(f"a: {text}")
    assert isinstance(value, MappingNode)
    assert in_words(value.pairs[0][1]) == words
