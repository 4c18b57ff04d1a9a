"""The two parsers give the same events, and what slips through both is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from annpipe.errors import SpecError
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.parser import MAX_BYTES, MAX_BYTES_IN_PYTHON, Parser, PythonParser, events, max_bytes, parsers

RIGHT = [
    "a: b c\n  d\n\n  e\n",
    "a:\tb\n",
    "a: [b,\tc,\n\td]\n",
    "a: {b: c:d, e: f}\n",
    "a: http://host:80/x#y # words\n",
    "a: |\n  b\n   c\n\nd: >-\n  e\n  f\n",
    "a: 'it''s'\nb: \"\\u00e9\\n\"\n",
    "- - a\n  - b\n- ? c\n  : d\n",
    "a: &x b\nc: *x\n",
    "a: b\n...\n",
    "--- a\n",
]
WRONG = [
    "a: [b:]\n",
    "a: {b:,}\n",
    "a: |\n\tb\n",
    "a: b: c\n",
    "a: [1\n",
    "a\nb: c\n",
    "a: b\n  c\n\td: e\n",
    "a: 'b\n",
]


def seen(text: str, parser: Parser) -> list[tuple[Any, ...]]:
    """The kind, value, anchor and start of each event that has content."""
    return [
        (type(event).__name__, getattr(event, "value", None), getattr(event, "anchor", None), start.line, start.column)
        for event in events(text, parser)
        if isinstance(event, yaml.NodeEvent)
        for start in [event.start_mark]
    ]


@pytest.mark.skipif(len(parsers()) < 2, reason="PyYAML was built without its parser in C")
@pytest.mark.parametrize("text", RIGHT)
def test_both_parsers_read_the_same(text: str) -> None:
    """Kinds, values, anchors and places."""
    in_c, in_python = parsers()
    assert seen(text, in_python) == seen(text, in_c)
    assert seen(text, in_python)


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize("text", WRONG)
def test_both_parsers_refuse_the_same(text: str, parser: Parser) -> None:
    """With an error that has a mark."""
    with pytest.raises(yaml.MarkedYAMLError):
        list(events(text, parser))


def test_the_parser_in_python_gets_shorter_texts() -> None:
    """It needs a second for what the other reads in some milliseconds."""
    assert max_bytes(PythonParser) == MAX_BYTES_IN_PYTHON < MAX_BYTES
    assert parsers()[-1] is PythonParser
    assert {max_bytes(parser) for parser in parsers()[:-1]} <= {MAX_BYTES}


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ('a: "b"#c\n', "not-yaml", 7),
        ("a: [b,#c\n d]\n", "not-yaml", 7),
        ("a: !x b\n", "yaml-tag", 4),
        ("a: |#b\n  c\n", "not-yaml", 5),
        ("a: [-]\n", "yaml-quotes", 5),
        ("a: \u00a0b\n", "yaml-character", 4),
        ("a: [?b]\n", "yaml-quotes", 5),
    ],
)
def test_what_the_parsers_let_through_is_refused(text: str, code: str, column: int, parser: Parser) -> None:
    """At its place."""
    with pytest.raises(SpecError) as caught:
        compose(text, "spec.yaml", parser)
    problem = caught.value.problems[0]
    assert problem.place is not None
    assert problem.code == code
    assert problem.place.column == column


@pytest.mark.parametrize(
    "text", ["a: b #c\n", "a: 'b' # c\n", "a: [b, c] # d\n", "a: b#c\n", "a: - b\n".replace("- ", "-"), "a: [b?]\n"]
)
def test_what_only_looks_so_is_taken(text: str) -> None:
    """A comment after a blank, a sign inside a word."""
    assert compose(text, "spec.yaml") is not None
