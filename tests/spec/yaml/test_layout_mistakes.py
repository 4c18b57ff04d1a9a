"""Mistakes of layout, explained from the place at which a parser stopped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from annpipe.errors import Problem
from annpipe.spec.yaml.layout_mistakes import dash_after_key, no_colon, nothing_to_close, out_of_line, second_colon
from annpipe.spec.yaml.scene import Scene
from annpipe.spec.yaml.source import Source

Explain = Callable[[Scene], Problem]


def explained(explain: Explain, marked: str, *, opened: str | None = None) -> Problem:
    """The problem at the place `⟦` of a text; `opened` is the bracket that is open."""
    at = marked.index("⟦")
    text = marked.replace("⟦", "")
    return explain(Scene(Source(text, "spec.yaml"), at, at, text.index(opened) if opened else None))


@pytest.mark.parametrize(
    ("explain", "marked", "place", "code", "help_"),
    [
        (second_colon, "a: b⟦: c", (1, 5, 1), "yaml-colon", 'put the value in quotes: "b: c"'),
        (second_colon, "a: \"b\"⟦: c", (1, 7, 1), "yaml-colon", "put the value in quotes: '\"b\": c'"),
        (second_colon, "a: 1\n  b⟦: 2", (2, 3, 4), "yaml-indent", "begin it in column 1"),
        (second_colon, "lr = 0.1\nb⟦: 2", (1, 1, 8), "yaml-colon", "write `lr: 0.1`"),
        (second_colon, "a⟦: b", (1, 2, 1), "yaml-colon", "put text with a colon in quotes"),
        (dash_after_key, "a: ⟦- b", (1, 4, 1), "yaml-indent", "write it in brackets: [a, b]"),
        (dash_after_key, "a: 1\n  ⟦- b", (2, 3, 3), "yaml-indent", "begin it in column 1"),
        (no_colon, "a: 1\n⟦[b]\nc: 1", (2, 1, 1), "yaml-indent", "indent it"),
        (no_colon, "a: 1\n⟦key:value\n", (2, 1, 4), "yaml-colon", "write `key: value`"),
        (no_colon, "a: 1\n⟦-b\n", (2, 1, 1), "yaml-colon", "write `- b`"),
        (no_colon, "a: 1\n⟦lr = 0.1 # fast\n", (2, 1, 8), "yaml-colon", "write `lr: 0.1`"),
        (no_colon, "a: 1\n⟦word\n", (2, 1, 4), "yaml-colon", "write `word: value`"),
        (no_colon, "a: 1\n⟦b:\u00a02\n", (2, 3, 1), "yaml-character", "type a plain space instead"),
        (nothing_to_close, "a: b⟦]", (1, 5, 1), "yaml-unclosed", "delete it"),
        (out_of_line, "⟦: a", (1, 1, 1), "yaml-key", "write `key: value`"),
        (out_of_line, "a: 'it'⟦s'", (1, 8, 2), "yaml-quotes", 'goes into "…"'),
        (out_of_line, "a: [1] ⟦b", (1, 8, 1), "yaml-quotes", "put the whole value in quotes"),
        (out_of_line, "a: 1\n⟦, b", (2, 1, 1), "not-yaml", "delete the comma"),
        (out_of_line, "a: 1\n⟦]", (2, 1, 1), "yaml-unclosed", "delete it"),
        (out_of_line, "a: 1\n...\n⟦b: 2", (3, 1, 4), "several-documents", "delete the line `...`"),
        (out_of_line, "a: 1\n⟦- b", (2, 1, 3), "yaml-indent", "indent the list below its key"),
        (out_of_line, "a:\n  - b\n  ⟦c: 1", (3, 3, 4), "yaml-indent", "begin the line with `- `"),
        (out_of_line, "a:\n    b: 1\n  ⟦c: 2", (3, 3, 4), "yaml-indent", "in column 5 as `b: 1`"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place_and_its_remedy(
    explain: Explain, marked: str, place: tuple[int, int, int], code: str, help_: str
) -> None:
    """The carets stand under what is wrong."""
    problem = explained(explain, marked)
    assert problem.place is not None
    assert (problem.place.line, problem.place.column, problem.place.length) == place
    assert problem.code == code
    assert help_ in (problem.help or "")


def test_a_bracket_of_the_other_kind_shows_where_it_was_opened() -> None:
    """That is the second place."""
    problem = explained(nothing_to_close, "a: [1, {b: 2⟦]", opened="{")
    assert "'{' cannot be closed by ']'" in problem.message
    ((opened, words),) = problem.related
    assert (opened.column, words) == (8, "opened here")
