"""Any bytes as a file are a tree of nodes or problems at their places: never a crash, whichever parser reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annpipe.errors import Problem, SpecError
from annpipe.errors.render import render
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import MappingNode, Node, ScalarNode, leaves, plain
from annpipe.spec.yaml.parser import parsers
from annpipe.spec.yaml.reader import read_file

GALLERY = sorted((Path(__file__).parents[3] / "pipelines").rglob("*.yaml"))
SIGNS = [
    *":-?,[]{}#&*!|>'\"%@`\n \t\r<=.~",
    "\n  ",
    ": ",
    "- ",
    "? ",
    " #",
    "---",
    "...",
    "${a}",
    "&a ",
    "*a",
    "\\",
    "''",
]
WORDS = ["a", "학습", "😀", "1e-4", "no", "017", "<<", "\u00a0", "\u2028", "\ufeff", "\x00", "\x7f", "\ud800"]

yaml_like = st.lists(st.sampled_from([*SIGNS, *SIGNS, *WORDS]), max_size=40).map("".join)
any_bytes = st.one_of(
    st.binary(max_size=200),
    yaml_like.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(max_size=100).map(lambda text: text.encode("utf-16")),
)


@st.composite
def damaged_specs(draw: st.DrawFn) -> str:
    """A spec of the gallery with a few stretches cut out, put in twice or replaced by signs."""
    text = draw(st.sampled_from(GALLERY)).read_text("utf-8")
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        text = text[:start] + draw(st.sampled_from([*SIGNS, *WORDS, text[start:end] * 2, ""])) + text[end:]
    return text


def _check_place(problem: Problem, text: str) -> None:
    """The place lies inside the text, or just behind the end of a line of it."""
    assert problem.place is not None
    lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
    for place in (problem.place, *(place for place, _ in problem.related)):
        assert 1 <= place.line <= len(lines)
        assert 1 <= place.column <= len(lines[place.line - 1]) + 1
        assert place.column - 1 + place.length <= max(len(lines[place.line - 1]), place.column)


def _read(text: str, parser: type) -> tuple[Node | None, list[Problem]]:
    try:
        return compose(text, "f", parser), []
    except SpecError as error:
        return None, error.problems


@settings(max_examples=300, deadline=None)
@given(any_bytes)
def test_any_file_is_a_spec_or_is_explained(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing but SpecError comes out, each problem can be drawn, and has a place or names the file."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    try:
        assert isinstance(read_file(path), MappingNode)
    except SpecError as error:
        assert error.problems
        assert all(render(problem) for problem in error.problems)
        assert all(problem.place or str(path) in problem.message for problem in error.problems)


@settings(max_examples=300, deadline=None)
@given(st.one_of(yaml_like, damaged_specs()))
def test_any_text_is_a_tree_or_problems_inside_it(text: str) -> None:
    """Each problem lies in the text; where there is none, the places of values do, and a plain tree comes out."""
    for parser in parsers():
        node, problems = _read(text, parser)
        for problem in problems:
            _check_place(problem, text)
        if node is not None:
            plain(node)
            for _, leaf in leaves(node):
                _check_place(Problem("", "", leaf.place), text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(yaml_like, damaged_specs()))
def test_both_parsers_find_the_same_values_at_the_same_places_or_refuse(text: str) -> None:
    """What a spec says does not depend on how PyYAML was built."""
    first, *others = [_read(text, parser)[0] for parser in parsers()]
    for other in others:
        assert (first is None) == (other is None)
        assert repr(_written(first)) == repr(_written(other))


def _written(node: Node | None) -> list[tuple[object, ScalarNode]]:
    """The values that have a text of their own: in brackets, the parsers place an empty one differently."""
    return [] if node is None else [(path, leaf) for path, leaf in leaves(node) if leaf.text]
