"""What can go wrong, where it is, and how it is said.

    AnnpipeError                 exit code 1
    ├── SpecError                exit code 3: the spec, or a plugin it lists, is wrong; carries every Problem
    ├── RunError                 exit code 1: training started and failed
    │   └── NonFiniteLoss        the loss became nan or infinite at a known step
    ├── OptionError              a component refuses an option's value; the engine adds the place
    ├── StoreError               exit code 5: the tracking store cannot be reached
    └── NotFound                 exit code 2: no such run, component or file as named on the command line

A mistake of the user's is always one of these; anything else that escapes is a bug in annpipe (exit code 4).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annpipe.secrets import scrub, scrub_marked

COMMAND_LINE = "--set "  # a Place whose file begins with dashes stands in the command line, which is its own excerpt


@dataclass(frozen=True, order=True)
class Place:
    """A stretch of one line of a file; `line` and `column` count from 1, in characters."""

    file: str
    line: int
    column: int
    length: int = 1

    @property
    def on_command_line(self) -> bool:
        """Whether `file` is what the command line said, not a file."""
        return self.file.startswith("--")

    def __str__(self) -> str:
        return "the command line" if self.on_command_line else f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One broken rule: a stable code, what was found, where, and what to do about it."""

    code: str
    message: str
    place: Place | None = None
    help: str | None = None
    related: tuple[tuple[Place, str], ...] = ()
    severity: str = "error"

    def __post_init__(self) -> None:
        """What a user wrote is quoted in messages: a password in it is not."""
        object.__setattr__(self, "message", scrub(self.message))
        object.__setattr__(self, "help", self.help and scrub(self.help))

    @property
    def order(self) -> tuple[str, int, int, str]:
        """Sorts problems as they stand in their files."""
        place = self.place or Place("", 0, 0)
        return (place.file, place.line, place.column, self.code)


class AnnpipeError(Exception):
    """The root of everything annpipe raises for a user to read."""

    exit_code = 1

    def __str__(self) -> str:
        return scrub(super().__str__())


class SpecError(AnnpipeError):
    """The spec is wrong; `problems` holds every independent fault, in file order."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(dict.fromkeys(problems), key=lambda problem: problem.order)
        super().__init__("\n".join(problem.message for problem in self.problems))


class RunError(AnnpipeError):
    """Training started and could not be finished."""


class NonFiniteLoss(RunError):
    """The loss of `step` (counted from 1) was nan or infinite."""

    def __init__(self, step: int, value: float, kept: str | None) -> None:
        self.step, self.value = step, value
        keeping = f"; the last finite checkpoint is kept in {kept}" if kept else ""
        super().__init__(f"the loss became {value} at step {step}{keeping}")


class OptionError(AnnpipeError):
    """A component refuses the value of `option` (a dotted path below its options)."""

    def __init__(self, option: str, message: str, *, help: str | None = None) -> None:
        self.option, self.message, self.help = option, message, help
        super().__init__(f"{option}: {message}")


class StoreError(AnnpipeError):
    """The tracking store cannot be reached or used."""

    exit_code = 5


class NotFound(AnnpipeError):
    """Something named on the command line does not exist."""

    exit_code = 2


def render(problem: Problem) -> str:
    """Draws one problem the way a compiler would: code, place, excerpt with carets, help."""
    lines = [f"{problem.severity}[{problem.code}]: {problem.message}"]
    gutter = max([len(str(place.line)) for place, _ in _places(problem)], default=1)
    opening = "┌─"
    for place, note in _places(problem):
        lines += _excerpt(place, note, gutter, opening)
        opening = "├─"
    if problem.help:
        lines.append(f"{' ' * gutter} = help: {problem.help}")
    return "\n".join(lines)


def _places(problem: Problem) -> list[tuple[Place, str]]:
    own = [(problem.place, "")] if problem.place else []
    return own + list(problem.related)


def _excerpt(place: Place, note: str, gutter: int, opening: str) -> list[str]:
    pad = " " * gutter
    lines = [f"{pad} {opening} {place}"]
    source = _source_line(place)
    if source is None:
        return [*lines, f"{pad} │ {note}"] if note else lines
    source, start, end = scrub_marked(source, place.column - 1, place.column - 1 + place.length)
    before, marked = source[:start], source[start:end]
    carets = "^" * max(1, _width(marked))
    lines += [f"{pad} │", f"{place.line:>{gutter}} │ {source}", f"{pad} │ {_blank(before)}{carets} {note}".rstrip()]
    return lines


def _source_line(place: Place) -> str | None:
    if place.on_command_line:
        return place.file
    try:
        text = Path(place.file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError):
        return None
    lines = text.splitlines()
    return lines[place.line - 1] if 0 < place.line <= len(lines) else None


def _blank(text: str) -> str:
    """Spaces as wide as `text` on a terminal; tabs stay tabs so that the carets line up."""
    return "".join("\t" if char == "\t" else " " * _width(char) for char in text)


def _width(text: str) -> int:
    """Columns on a terminal: two for a wide character, none for one that combines with the last."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
