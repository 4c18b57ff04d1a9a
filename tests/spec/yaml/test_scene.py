"""The lines around the place at which a parser stopped."""

from __future__ import annotations

import pytest

from annpipe.errors import Place
from annpipe.spec.yaml.scene import Scene
from annpipe.spec.yaml.source import Source

TEXT = "a: 1\n\n  # words\n  b: [2, 3 # more\n \t c: x#y # end\n"


def scene(mark: str, *, text: str = TEXT) -> Scene:
    """The scene at the first place of a text."""
    at = text.index(mark)
    return Scene(Source(text, "spec.yaml"), at, at, None)


def test_the_place_itself() -> None:
    """Its character, its line from 0, and what stands before it on the line."""
    here = scene("[2")
    assert (here.character, here.line_number, here.before) == ("[", 3, "  b: ")
    assert here.here() == Place("spec.yaml", 4, 6)
    assert not here.at_end


@pytest.mark.parametrize(("text", "at", "is_end"), [("a: b\n\n  ", 4, True), ("a: b\n", 3, False), ("a: b", 4, True)])
def test_the_end_is_where_only_blanks_follow(text: str, at: int, is_end: bool) -> None:
    """There is no character then."""
    here = Scene(Source(text, "spec.yaml"), at, at, None)
    assert here.at_end is is_end
    assert Scene(Source(text, "spec.yaml"), len(text), 0, None).character == ""


@pytest.mark.parametrize(
    ("mark", "rest"), [("a: 1", "a: 1"), ("b: [2", "b: [2, 3"), ("x#y", "x#y"), ("# words", "# words")]
)
def test_the_rest_of_a_line_has_no_comment(mark: str, rest: str) -> None:
    """A sign inside a word is none."""
    here = scene(mark)
    assert here.to_line_end(here.at) == rest


def test_the_line_above_has_content() -> None:
    """Blank lines and comments are passed over."""
    here = scene("b:")
    assert here.line_above(3) == 0
    assert here.line_above(4) == 3
    assert here.line_above(0) is None


def test_indentation_and_content_of_a_line() -> None:
    """Spaces and tabs are counted alike."""
    here = scene("c:")
    assert [here.indentation(number) for number in (0, 3, 4)] == [0, 2, 3]
    assert here.content_start(4) == TEXT.index("c:")
    assert here.content(0) == Place("spec.yaml", 1, 1, 4)


def test_a_problem_has_the_other_places_too() -> None:
    """In the order given."""
    here = scene("b:")
    problem = here.problem("a-code", "is wrong", here.here(), "mend it", (here.content(0), "above"))
    assert (problem.code, problem.message, problem.help) == ("a-code", "is wrong", "mend it")
    assert problem.related == ((Place("spec.yaml", 1, 1, 4), "above"),)
