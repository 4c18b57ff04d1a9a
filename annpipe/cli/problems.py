"""Prints problems: as text for a person, as JSON for a program, or as annotations for GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from annpipe.errors import MAX_PROBLEMS, Place, Problem, visible
from annpipe.errors.redact import scrub
from annpipe.errors.render import render

FORMATS = ("text", "json", "github")


def as_json(checked: Iterable[tuple[str, Sequence[Problem]]]) -> str:
    """One object a spec: whether it is right, and its problems with their places (lines and columns from 1)."""
    specs = [
        {"spec": spec, "ok": not any(map(is_error, problems)), "problems": [as_data(problem) for problem in problems]}
        for spec, problems in checked
    ]
    return json.dumps(specs, indent=2, ensure_ascii=False)


def as_github(problems: Iterable[Problem]) -> str:
    """Workflow commands: each problem becomes an annotation at its line in a pull request."""
    return "\n".join(_annotation(problem) for problem in problems)


def strict(value: Any) -> Any:
    """JSON has neither nan nor infinity: such numbers become text."""
    return str(value) if isinstance(value, float) and value - value != 0 else value


def as_text(problems: Sequence[Problem]) -> str:
    """Every problem with its excerpt, and how many there are."""
    return "\n".join([*(render(problem) + "\n" for problem in problems), count(problems)])


def count(problems: Sequence[Problem]) -> str:
    """`2 errors, 1 warning`."""
    n_errors = sum(map(is_error, problems))
    more = " or more" if n_errors >= MAX_PROBLEMS else ""
    counts = [_plural(n_errors, "error") + more, _plural(len(problems) - n_errors, "warning")]
    return ", ".join(part for part in counts if part)


def is_error(problem: Problem) -> bool:
    """Whether the problem refuses the spec; a warning does not."""
    return problem.severity == "error"


def _plural(n: int, word: str) -> str:
    return f"{n} {word}{'s' if n > 1 else ''}" if n else ""


def as_data(problem: Problem) -> dict[str, Any]:
    """A problem with its place, as JSON has it."""
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "help": problem.help,
        "place": _place(problem.place) if problem.place else None,
        "related": [{**_place(place), "note": note} for place, note in problem.related],
    }


def _place(place: Place) -> dict[str, Any]:
    where = {"command_line" if place.on_command_line else "file": scrub(place.file)}
    return {**where, "line": place.line, "column": place.column, "end_column": place.column + place.length}


def _annotation(problem: Problem) -> str:
    place = problem.place
    parts = {"title": f"annpipe {problem.code}"}
    if place and not place.on_command_line:
        columns = {"col": str(place.column), "endColumn": str(place.column + place.length)}
        parts = {"file": place.file, "line": str(place.line), **columns, **parts}
    message = problem.message + (f"\nhelp: {problem.help}" if problem.help else "")
    properties = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in parts.items())
    return f"::{problem.severity} {properties}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    """Escapes line breaks, which end a workflow command, `%`, which begins an escape, and control characters."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{also}" else visible(c) for c in text)
