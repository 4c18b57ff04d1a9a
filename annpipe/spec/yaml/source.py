"""Lines, columns and excerpts of a spec's text, and the characters that no text may hold."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from annpipe.errors import Place, Problem, SpecError

_BREAK = re.compile(r"\r\n|\r|\n")
_END_OF_LINE = re.compile(r"[\r\n]|\Z")
# Not in YAML: control characters and halves of surrogate pairs. In YAML, but not to be told apart from an ordinary line
# break or from nothing at all when looked at: U+0085, U+2028, U+2029 and a byte order mark inside the text.
_REFUSED = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Source:
    """A spec's text and what places call its file; positions are counted in characters from 0."""

    text: str
    file: str

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in _BREAK.finditer(self.text))]

    def line_number(self, index: int) -> int:
        """The line of a position, from 0."""
        return _last_not_above(self._line_starts, min(index, self.end))

    @cached_property
    def end(self) -> int:
        """The position after the last character that is not blank."""
        return len(self.text.rstrip(" \t\r\n"))

    def line(self, number: int) -> str:
        """The text of a line without its break."""
        start = self._line_starts[number]
        return self.text[start : self.line_end(start)]

    def line_start(self, number: int) -> int:
        """The position of the first character of a line."""
        return self._line_starts[number]

    def line_end(self, index: int) -> int:
        """The position of the next line break, or the text's length."""
        match = _END_OF_LINE.search(self.text, index)
        assert match is not None
        return match.start()

    def place(self, index: int, length: int = 1) -> Place:
        """The place of a position; what lies behind the last character counts as just behind it."""
        index = min(index, self.end)
        number = self.line_number(index)
        return Place(self.file, number + 1, index - self._line_starts[number] + 1, max(1, length))

    def rest_of_line(self, index: int) -> Place:
        """From a position to the end of its line, without blanks at the end."""
        return self.place(index, len(self.text[index : self.line_end(index)].rstrip()))

    def is_first_on_line(self, index: int) -> bool:
        """Whether only blanks stand before a position on its line."""
        return not self.text[self._line_starts[self.line_number(index)] : index].strip(" \t")

    def refuse_characters(self) -> None:
        """Raises SpecError at the first character that a text may not hold."""
        match = _REFUSED.search(self.text)
        if match is None:
            return
        number = ord(match[0])
        message = f"an invisible character (U+{number:04X}) stands here"
        help_ = "delete it" + (
            "" if 0xD800 <= number < 0xE000 else f'; if it is meant, "\\u{number:04x}" in double quotes'
        )
        if number == 0:
            help_ = "save the file as UTF-8 text"
        raise SpecError([Problem("yaml-character", message, self._at(match), help_)])

    def _at(self, match: re.Match[str]) -> Place:
        number = _last_not_above(self._line_starts, match.start())
        return Place(self.file, number + 1, match.start() - self._line_starts[number] + 1)


def short(text: str, limit: int = 40) -> str:
    """A text of the user's on one line, cut where it is long, for use inside a message."""
    one_line = " ".join(text[: limit * 2].split())
    return one_line if len(one_line) <= limit else one_line[: limit - 1] + "…"


def _last_not_above(starts: list[int], index: int) -> int:
    return bisect_right(starts, index) - 1
