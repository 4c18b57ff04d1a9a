"""YAML 1.2, case by case: what each construct of the language reads as, over both parsers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from annpipe.errors import SpecError
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import plain
from annpipe.spec.yaml.parser import Parser, parsers

READ: list[tuple[str, Any]] = [
    # block collections
    ("a: 1\nb: 2", {"a": 1, "b": 2}),
    ("- 1\n- two", [1, "two"]),
    ("a:\n- 1\n- 2", {"a": [1, 2]}),
    ("a:\n  - 1\n  - 2", {"a": [1, 2]}),
    ("- - 1\n  - 2\n- 3", [[1, 2], 3]),
    ("- a: 1\n  b: 2\n- c: 3", [{"a": 1, "b": 2}, {"c": 3}]),
    ("a:\n  b:\n    c: deep", {"a": {"b": {"c": "deep"}}}),
    ("a:\nb:", {"a": None, "b": None}),
    ("-\n-", [None, None]),
    ("? key\n: value", {"key": "value"}),
    ("a :   1", {"a": 1}),
    ("'a b': 1\n\"c\": 2", {"a b": 1, "c": 2}),
    ("1: one\ntrue: two\n~: three", {"1": "one", "true": "two", "~": "three"}),
    # flow collections
    ("[1, two, 3.5]", [1, "two", 3.5]),
    ("[1, 2,]", [1, 2]),
    ("[]", []),
    ("{}", {}),
    ("{a: 1, b: [2, {c: 3}]}", {"a": 1, "b": [2, {"c": 3}]}),
    ("{a, b: }", {"a": None, "b": None}),
    ('{"a":1}', {"a": 1}),
    ("[a: 1, b]", [{"a": 1}, "b"]),
    ("a: [1,\n  2]", {"a": [1, 2]}),
    ("{a: 1,\n b: 2\n}", {"a": 1, "b": 2}),
    # plain text
    ("a: some words here", {"a": "some words here"}),
    ("a: one\n  two", {"a": "one two"}),
    ("a: one\n\n  two", {"a": "one\ntwo"}),
    ("a: x#y", {"a": "x#y"}),
    ("a: x # a remark", {"a": "x"}),
    ("a: http://host:1/x", {"a": "http://host:1/x"}),
    ("a: -x", {"a": "-x"}),
    ("a: x*y", {"a": "x*y"}),
    ("a: x{1}", {"a": "x{1}"}),
    # quoted text
    ("a: 'it''s'", {"a": "it's"}),
    (r'a: "tab\tquote\" \u00e9 \x41"', {"a": 'tab\tquote" é A'}),
    ("a: 'one\n  two'", {"a": "one two"}),
    ('a: "one\\\n  two"', {"a": "onetwo"}),
    ("a: ''", {"a": ""}),
    ("a: '1'", {"a": "1"}),
    ('a: "#"', {"a": "#"}),
    # text in blocks
    ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
    ("a: |-\n  one\n  two\n", {"a": "one\ntwo"}),
    ("a: |+\n  one\n\n", {"a": "one\n\n"}),
    ("a: >\n  one\n  two\n\n  three\n", {"a": "one two\nthree\n"}),
    ("a: >-\n  one\n  two\n", {"a": "one two"}),
    ("a: |2\n   one\n", {"a": " one\n"}),
    ("a: |\n  # no remark\n", {"a": "# no remark\n"}),
    # scalars of the core schema
    ("[null, Null, NULL, ~]", [None] * 4),
    ("[true, True, TRUE, false]", [True, True, True, False]),
    ("[0, -1, +2, 0x1f, 0o17]", [0, -1, 2, 31, 15]),
    ("[1.5, -.5, 1e3, 1E-3, +1.0e+2]", [1.5, -0.5, 1000.0, 0.001, 100.0]),
    ("[.inf, -.Inf, +.INF]", [math.inf, -math.inf, math.inf]),
    ("[yes, No, on, OFF, y]", ["yes", "No", "on", "OFF", "y"]),
    ("[1:30, 0b1, 1_000, 2020-01-01, nULL]", ["1:30", "0b1", "1_000", "2020-01-01", "nULL"]),
    ("[017, 08, 1.2.3, 1e, .e1]", ["017", "08", "1.2.3", "1e", ".e1"]),
    # anchors, remarks, the frame of a document
    ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
    ("a: &x\nb: *x", {"a": None, "b": None}),
    ("&x a: 1\nb: *x", {"a": 1, "b": "a"}),
    ("# first\na: 1 # second\n# third", {"a": 1}),
    ("---\na: 1\n", {"a": 1}),
    ("--- a\n...\n", "a"),
    ("", None),
    ("# nothing", None),
    ("\ufeffa: 1", {"a": 1}),
    ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
    ("학습: 값", {"학습": "값"}),
    ("a: 😀", {"a": "😀"}),
]
REFUSED = [
    "a: 1\n b: 2",
    "a: b: c",
    "- a\nb",
    "a: [1, 2",
    "a: 'open",
    "a: ]",
    "a: @x",
    "a: `x`",
    "a: %x",
    "a: *x",
    "a: 1\na: 2",
    "a: |\n one\ntwo: |3\n x\n y",
    'a: "\\q"',
    "a:\n\t- 1",
    "key: - 1",
    "{a: 1, a: 2}",
    "<<: {a: 1}",
    "a: !!str 1",
    "a: 1\n---\nb: 2",
    "%YAML 1.2\n---\na: 1",
    "? [a]\n: 1",
    "{[a]: 1}",
]


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize(("text", "expected"), READ, ids=lambda value: repr(value)[:40])
def test_a_text_is_read_as_yaml_1_2_says(text: str, expected: Any, parser: Parser) -> None:
    """The value and its types."""
    node = compose(text, "case.yaml", parser)
    read = None if node is None else plain(node)
    assert read == expected
    assert repr(read) == repr(expected)


@pytest.mark.parametrize("parser", parsers())
@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_is_wrong_or_no_spec_is_refused_with_a_place(text: str, parser: Parser) -> None:
    """What YAML 1.2 refuses, and what a spec leaves out of it."""
    with pytest.raises(SpecError) as caught:
        compose(text, "case.yaml", parser)
    assert all(problem.place and problem.help for problem in caught.value.problems)
