"""The source tree keeps its rules: docstrings that answer, one home a name, plain words, tests that stand alone."""

from __future__ import annotations

import pytest

from tests import structure

RULES = {
    "QUESTIONS": "the first sentence of a module's docstring says what the module is or does",
    "DEFINED_TWICE": "a public class or type alias has one home",
    "BANNED_IDENTIFIERS": "a name says what the value is, see docs/glossary.md",
}


@pytest.fixture(scope="module")
def today() -> dict[str, list[str]]:
    return structure.findings()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_kept(name: str, today: dict[str, list[str]]) -> None:
    """Without an exception."""
    assert today[name] == [], RULES[name]


def test_no_test_module_imports_another() -> None:
    """What several need is in a conftest.py or in a module that is no test."""
    assert structure.imports_of_tests() == []


@pytest.mark.parametrize(
    ("docstring", "asks"),
    [
        ("What is a row?", True),
        ("What is a row? One of a table.", True),
        ("A row of a table.", False),
        ("A row of a table. Or is it?", False),
        ("Who hears what: the journal.", False),
        ("", False),
    ],
)
def test_a_question_is_a_first_sentence_with_its_mark(docstring: str, asks: bool) -> None:
    """Not one that comes later."""
    assert structure.is_question(docstring) is asks
