"""The source tree keeps its rules: docstrings that answer, one home a name, plain words, tests that stand alone."""

from __future__ import annotations

import ast

import pytest

from tests import structure

RULES = {
    "QUESTIONS": "the first sentence of a module's docstring says what the module is or does",
    "DEFINED_TWICE": "a public class or type alias has one home",
    "BANNED_IDENTIFIERS": "a name says what the value is, see docs/glossary.md",
    "CALLS_OF_ONE_SYSTEM": "annpipe/files knows what differs between systems; others call its functions",
    "TEXTS_WITHOUT_ENCODING": "text files are UTF-8 with \\n on every system, whatever its locale says",
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
    ("call", "lacking"),
    [
        ("open(path)", "encoding"),
        ("open(path, 'w')", "encoding and newline"),
        ("open(path, 'w', encoding='utf-8')", "newline"),
        ("open(path, 'rb')", ""),
        ("archive.open(member)", ""),
        ("path.open('a')", "encoding and newline"),
        ("Path(file).open()", "encoding"),
        ("path.read_text()", "encoding"),
        ("path.write_text(text, encoding='utf-8')", "newline"),
        ("subprocess.run(command, text=True)", "encoding"),
    ],
)
def test_a_text_file_lacks_what_its_call_does_not_say(call: str, lacking: str) -> None:
    """Of the ways in which Python opens files."""
    expression = ast.parse(call, mode="eval").body
    assert isinstance(expression, ast.Call)
    assert structure.lacks_for_text(expression) == lacking


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
