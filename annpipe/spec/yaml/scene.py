"""The lines around the place where a parser stopped, for the functions that explain the mistake."""

from __future__ import annotations

import re
from dataclasses import dataclass

from annpipe.errors import Place, Problem
from annpipe.spec.yaml.source import Source


@dataclass(frozen=True)
class Scene:
    """Where the parser stopped (`at`), what it was reading then (`began`), and the innermost open bracket."""

    source: Source
    at: int
    began: int
    bracket: int | None

    @property
    def character(self) -> str:
        """The character at the place, or nothing at the end."""
        return self.source.text[self.at : self.at + 1]

    @property
    def at_end(self) -> bool:
        """Whether only blanks follow."""
        return self.at >= self.source.end

    @property
    def line_number(self) -> int:
        """The line of the place, from 0."""
        return self.source.line_number(self.at)

    @property
    def before(self) -> str:
        """The part of the line before the place."""
        return self.source.text[self.source.line_start(self.line_number) : self.at]

    def problem(self, code: str, message: str, place: Place, help_: str, *related: tuple[Place, str]) -> Problem:
        """A problem, with the places that belong to it as further arguments."""
        return Problem(code, message, place, help_, related)

    def here(self) -> Place:
        """The place itself, one character long."""
        return self.source.place(self.at)

    def to_line_end(self, index: int) -> str:
        """The rest of the line without a comment."""
        rest = self.source.text[index : self.source.line_end(index)]
        return re.split(r"\s#", rest, maxsplit=1)[0].rstrip()

    def line_above(self, number: int) -> int | None:
        """The nearest line above with content that is no comment."""
        for above in range(number - 1, -1, -1):
            content = self.source.line(above).strip()
            if content and not content.startswith("#"):
                return above
        return None

    def indentation(self, number: int) -> int:
        """How many blanks a line begins with."""
        line = self.source.line(number)
        return len(line) - len(line.lstrip(" \t"))

    def content_start(self, number: int) -> int:
        """The position of the first character of a line that is not blank."""
        return self.source.line_start(number) + self.indentation(number)

    def content(self, number: int) -> Place:
        """The place of a line's content."""
        return self.source.rest_of_line(self.content_start(number))
