"""Where in a spec a formula is wrong: inside the value, however YAML has it written."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.draft.formula_place import formula_problem
from annpipe.expression import ExpressionFault
from annpipe.spec.yaml.nodes import ScalarNode, descend
from annpipe.spec.yaml.reader import read_file


def marked(text: str, stretch: str, tmp_path: Path, *, past_end: bool = False) -> str:
    """The lines of the file with what is marked between ⟦ and ⟧, for a fault at a stretch of the value."""
    path = tmp_path / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    node, _ = descend(read_file(path), ("a",))
    assert isinstance(node, ScalarNode)
    column, length = (len(node.text), 1) if past_end else (node.text.index(stretch), len(stretch))
    problem = formula_problem(ExpressionFault("is wrong", column, length, "mend it"), node)
    assert (problem.code, problem.message, problem.help) == ("formula", "is wrong", "mend it")
    place = problem.place
    assert place is not None
    line = text.splitlines()[place.line - 1].ljust(place.column + place.length)
    start = place.column - 1
    return f"{place.line}: {line[:start]}⟦{line[start : start + place.length]}⟧{line[start + place.length :]}".rstrip()


@pytest.mark.parametrize(
    ("text", "stretch", "shown"),
    [
        ("a: x + yy * z\n", "yy", "1: a: x + ⟦yy⟧ * z"),
        ("a: 'x + yy'\n", "yy", "1: a: 'x + ⟦yy⟧'"),
        ('a: "x + yy"\n', "yy", '1: a: "x + ⟦yy⟧"'),
        ('a: "x\\t+ \\u0079y"\n', "yy", '1: a: "x\\t+ ⟦\\u0079y⟧"'),
        ("a: 'x + ''yy'\n", "yy", "1: a: 'x + ''⟦yy⟧'"),
        ("a: >-\n  x +\n  yy * z\n", "yy", "3:   ⟦yy⟧ * z"),
        ("a: |\n  x +\n\n    yy * z\n", "yy * z", "4:     ⟦yy * z⟧"),
        ("a: x +\n  yy\n  * z\n", "yy", "2:   ⟦yy⟧"),
        ("a: x +\n  yy\n  * z\n", "yy *", "2:   ⟦yy⟧"),
        ("a: größe + yy\n", "yy", "1: a: größe + ⟦yy⟧"),
    ],
)
def test_a_fault_is_marked_inside_its_formula(text: str, stretch: str, shown: str, tmp_path: Path) -> None:
    """On the line where it begins, escapes as a whole."""
    assert marked(text, stretch, tmp_path) == shown


@pytest.mark.parametrize(("text", "shown"), [("a: >-\n  x +\n  y\n", "3:   y⟦ ⟧"), ("a: x +\n", "1: a: x +⟦ ⟧")])
def test_what_is_missing_is_marked_after_the_end(text: str, shown: str, tmp_path: Path) -> None:
    """Behind the last character that is there."""
    assert marked(text, "", tmp_path, past_end=True) == shown.rstrip()


def test_a_value_that_is_not_what_the_file_has_is_marked_as_a_whole(tmp_path: Path) -> None:
    """A variable stood for a part of it."""
    path = tmp_path / "spec.yaml"
    path.write_text("a: >-\n  ${b}\n  + yy\n", encoding="utf-8")
    node, _ = descend(read_file(path), ("a",))
    assert isinstance(node, ScalarNode)
    filled = ScalarNode("x * x + yy", "x * x + yy", node.plain, node.place)
    assert formula_problem(ExpressionFault("is wrong", 8, 2, None), filled).place == node.place
    path.unlink()
    assert formula_problem(ExpressionFault("is wrong", 8, 2, None), filled).place == node.place
