"""Events become nodes with their places; what a spec may not use is refused, and so is what is too large."""

from __future__ import annotations

import gc

import pytest

from annpipe.errors import SpecError
from annpipe.spec.yaml.composer import MAX_DEPTH, MAX_NODES, compose
from annpipe.spec.yaml.nodes import Node, leaves, plain
from annpipe.spec.yaml.parser import Parser, parsers


@pytest.fixture(params=parsers())
def parser(request: pytest.FixtureRequest) -> Parser:
    used: Parser = request.param
    return used


def tree(text: str, parser: Parser) -> Node:
    composed = compose(text, "spec.yaml", parser)
    assert composed is not None
    return composed


def codes(text: str, parser: Parser) -> list[str]:
    """The codes of all problems of a text."""
    with pytest.raises(SpecError) as caught:
        compose(text, "spec.yaml", parser)
    return [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["", "\n\n", "# words alone\n", "\ufeff"])
def test_a_text_without_content_is_no_tree(text: str, parser: Parser) -> None:
    """Whatever it is made of."""
    assert compose(text, "spec.yaml", parser) is None


def test_every_value_stands_where_it_is_written(parser: Parser) -> None:
    """Line and column from 1, in characters; the length is that of what was typed."""
    text = "größe: [1, 'zwei drei']\nb:\n  - \"c\"\n"
    lines = text.splitlines()
    found = {}
    for path, scalar in leaves(tree(text, parser)):
        place = scalar.place
        found[path] = lines[place.line - 1][place.column - 1 : place.column - 1 + place.length]
    assert found == {("größe", 0): "1", ("größe", 1): "'zwei drei'", ("b", 0): '"c"'}


@pytest.mark.parametrize(("depth", "is_right"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (2_000, False)])
def test_a_spec_is_not_deeper_than_it_may_be(depth: int, is_right: bool, parser: Parser) -> None:
    """Refused at once, before Python's own stack is at its end."""
    text = "[" * depth + "]" * depth
    if is_right:
        assert plain(tree(text, parser)) is not None
    else:
        assert codes(text, parser) == ["spec-too-deep"]


def test_an_alias_stands_for_its_value(parser: Parser) -> None:
    """The last one of that name."""
    assert plain(tree("a: &x [1, 2]\nb: *x\nc: &x 3\nd: *x\n", parser)) == {"a": [1, 2], "b": [1, 2], "c": 3, "d": 3}


def test_aliases_count_as_all_that_they_stand_for(parser: Parser) -> None:
    """Ten levels of ten would be ten thousand millions; depth adds up, too."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    assert codes(bomb, parser) == ["spec-too-large"]
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, MAX_DEPTH))
    assert codes(deep, parser) == ["spec-too-deep"]
    assert MAX_NODES >= 1000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: *x\n", "yaml-alias"),
        ("a: &x [*x]\n", "yaml-alias"),
        ("a: 1\na: 2\n", "duplicate-key"),
        ("a: 1\n'a': 2\n", "duplicate-key"),
        ("1: a\n'1': b\n", "duplicate-key"),
        ("<<: {a: 1}\n", "yaml-merge"),
        ("? [a]\n: 1\n", "yaml-key"),
        ("a: !!str 1\n", "yaml-tag"),
        ("%YAML 1.2\n---\na: 1\n", "yaml-directive"),
        ("a: 1\n---\nb: 2\n", "several-documents"),
    ],
)
def test_what_a_spec_may_not_use_is_refused(text: str, code: str, parser: Parser) -> None:
    """Each with a code of its own."""
    assert codes(text, parser) == [code]


def test_keys_are_text_whatever_they_look_like(parser: Parser) -> None:
    """A quoted merge key is a word like any other."""
    assert plain(tree("1: a\ntrue: b\nnull: c\n1.50: d\n'<<': e\n", parser)) == {
        "1": "a", "true": "b", "null": "c", "1.50": "d", "<<": "e"
    }  # fmt: skip


def test_all_problems_come_at_once(parser: Parser) -> None:
    """In the order of the text; the first key of a pair is shown, too."""
    with pytest.raises(SpecError) as caught:
        compose("a: 1\na: 2\nb: 1\nb: 2\n", "spec.yaml", parser)
    found = [
        (problem.place.line if problem.place else 0, problem.related[0][0].line) for problem in caught.value.problems
    ]
    assert found == [(2, 1), (4, 3)]


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_of_cycles_is_left_as_it_was(was_on: bool, parser: Parser) -> None:
    """Also after an error."""
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        tree("a: 1\n", parser)
        assert gc.isenabled() is was_on
        assert codes("a: [\n", parser)
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if before else gc.disable)()
