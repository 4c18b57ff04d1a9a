"""Finds the line and column in a spec at which a formula is wrong.

Blocks (`|`, `>-`) and values over several lines are another text in the file than in the value, but only in their
blanks: the visible characters are the same, one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from annpipe.errors import Place, Problem
from annpipe.expression import ExpressionFault
from annpipe.spec.yaml.nodes import ScalarNode

_VISIBLE = {
    '"': re.compile(r"\\(?:x..|u.{4}|U.{8}|.)?|\S"),
    "'": re.compile(r"''|\S"),
}  # as double, single quotes hold them
_ANY_VISIBLE = re.compile(r"\S")
_BLANK_ESCAPE = re.compile(r"\\[tnrvf _NLP]?\Z")


def formula_problem(fault: ExpressionFault, node: ScalarNode) -> Problem:
    """The fault with its caret inside the formula; under the whole value where that cannot be told."""
    return Problem("formula", fault.message, _place(fault, node), fault.help)


def _place(fault: ExpressionFault, node: ScalarNode) -> Place:
    place, quote = node.place, 0 if node.plain else 1
    if place.length == len(node.text) + 2 * quote:  # on one line, as it is
        return Place(place.file, place.line, place.column + quote + fault.column, fault.length)
    places = _visible_places(node)
    before = [position for position in places[: fault.column] if position]
    marked = [position for position in places[fault.column : fault.column + fault.length] if position]
    if len(places) < min(fault.column + 1, len(node.text)) or not (before or marked):
        return place
    if not marked:  # something is missing after the last character
        return replace(before[-1], column=before[-1].column + before[-1].length, length=1)
    same_line = [position for position in marked if position.line == marked[0].line]
    return replace(marked[0], length=same_line[-1].column + same_line[-1].length - marked[0].column)


def _visible_places(node: ScalarNode) -> list[Place | None]:
    """Where each character of the value stands, None for a blank; ends where value and file differ (at a variable)."""
    written = _written(node)
    places: list[Place | None] = []
    for character in node.text:
        if character.isspace():
            places.append(None)
            continue
        token, place = next(written, ("", node.place))
        if token != character and not (token.startswith("\\") or token == character * 2 == "''"):
            break
        places.append(place)
    return places


def _written(node: ScalarNode) -> Iterator[tuple[str, Place]]:
    """The visible characters of the file from the value's first one on, escapes whole."""
    place = node.place
    lines = _lines(place)
    opening = "" if node.plain or len(lines) < place.line else lines[place.line - 1][place.column - 1 : place.column]
    visible = _VISIBLE.get(opening, _ANY_VISIBLE)
    first, column = (place.line + 1, 0) if opening in ("|", ">") else (place.line, place.column - 1 + len(opening))
    for number in range(first, len(lines) + 1):
        for match in visible.finditer(lines[number - 1], column):
            if not (opening == '"' and _BLANK_ESCAPE.match(match[0])):
                yield match[0], Place(place.file, number, match.start() + 1, len(match[0]))
        column = 0


def _lines(place: Place) -> list[str]:
    if place.on_command_line:
        return [place.file]
    try:
        return _lines_of(place.file, Path(place.file).stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError, ValueError):
        return []


@lru_cache(maxsize=1)
def _lines_of(file: str, changed: int) -> list[str]:
    """A file may have thousands of faults: it is read once for all that are found in a row."""
    return Path(file).read_text(encoding="utf-8-sig").splitlines()
