"""Values that look like another type: the remedy holds for the type that is wanted."""

from __future__ import annotations

import pytest

from annpipe.registry.types import parse
from annpipe.spec.yaml.nodes import Node
from annpipe.spec.yaml.other_yaml import yaml_hint
from annpipe.spec.yaml.reader import read_text


def _node(text: str) -> Node:
    node = read_text(f"x: {text}", "s.yaml").get("x")
    assert node
    return node


@pytest.mark.parametrize(
    ("text", "type_", "start"),
    [
        ("1e3", "int", "write 1000"),
        ("8.0", "list[int]", "write 8"),
        ("0", "bool", "write false"),
        ("1", "bool | None", "write true"),
        ("2024", "str", 'put it in quotes: "2024"'),
        ("true", "str", 'put it in quotes: "true"'),
        ('"8"', "int", "what stands in quotes is text"),
        ('"8"', "float | None", "what stands in quotes is text"),
        ('"true"', "bool", "what stands in quotes is text"),
    ],
)
def test_a_value_of_another_type_is_rewritten_as_the_wanted_one(text: str, type_: str, start: str) -> None:
    """A whole number without point or exponent, a truth value by its word, text in quotes."""
    assert (yaml_hint(_node(text), parse(type_)) or "").startswith(start)


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("1.5", "int"),
        ("2", "bool"),
        ('""', "str"),
        ('""', "int"),
        ('"1e3"', "str"),
        ("-1.0", "float"),
        ("3", "float"),
        ("3", "'a' | 'b'"),
    ],
)
def test_a_value_that_no_rewriting_mends_has_no_such_remedy(text: str, type_: str) -> None:
    """Out of its bounds, or of no other type."""
    assert yaml_hint(_node(text), parse(type_)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tRue", "write true"),
        ("OFF", "write false"),
        ("None", "leave the option out"),
        ("1/1000", "no formula"),
        ("10^3", "no formula"),
        ("1 e-3", "write 1e-3:"),
        ("10 000", "write 10000:"),
        ("10,000", "write 10000:"),
        ("0,5", "write 0.5:"),
        ("1_000", "write 1000:"),
        ("3#three", "write `3 # …`"),
        ("“0.1”", "curly quotes"),
        ("$width", "write `${width}`"),
        ("${width", "write `${width}`"),
        ('"{{ width }}"', 'write "${width}"'),
        ("20 %", "a fraction"),
        ("1:30", "base 60"),
        ("017", "no leading zero"),
        ("2024-01-31", "not a date"),
    ],
)
def test_a_word_that_looks_like_a_value_says_what_to_write(text: str, said: str) -> None:
    """Whatever type is wanted."""
    assert said in (yaml_hint(_node(text)) or "")


@pytest.mark.parametrize("text", ["fast", "v1.2", "a/b", "x" * 10_000, "'yes'", "sum", "'1_000'"])
def test_a_plain_word_has_no_remedy(text: str) -> None:
    """Nothing is guessed."""
    assert yaml_hint(_node(text)) is None
