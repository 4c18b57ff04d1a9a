"""Escapes control characters in all that commands print, so that no name or cell of a stranger steers the terminal.

Marks of text direction are escaped too. The escape is that of JSON, so that JSON keeps its meaning.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from annpipe.errors import visible

_ERRORS = "annpipe"  # what Python calls a way to encode what cannot be encoded
_ASCII = {
    **dict.fromkeys("┌├└┐┤┘┬┴┼╭╰╮╯", "+"), **dict.fromkeys("─━–—−", "-"), **dict.fromkeys("│┃", "|"),
    "…": "...", "→": "->", "←": "<-", "×": "x", "·": "*", "≤": "<=", "≥": ">=", "≠": "!=", "±": "+-", "⋮": ":",
    "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip


class Escaping:
    """A text stream that escapes what is written to it, and otherwise behaves as the one below it.

    Bytes that are written to its buffer are data for programs, and pass as they are.
    """

    def __init__(self, below: TextIO) -> None:
        self.below = below

    def write(self, text: str) -> int:
        """Writes the text with its control characters and marks of direction escaped."""
        self.below.write(visible(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """The same of several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


def open_closed_streams() -> None:
    """Opens standard streams that the caller closed, onto the null device.

    Else the next file that is opened would get the number of one, and take in what libraries print.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            stream = open(number, mode, encoding="utf-8", newline=None, closefd=False)  # noqa: SIM115  # it stays
            setattr(sys, name, stream)


def show_all(stream: io.TextIOWrapper) -> None:
    """Lets a stream take signs that its encoding lacks, as that of a Windows console may: lines and arrows as ASCII,
    others, and a name that is no text, as escapes."""
    codecs.register_error(_ERRORS, _in_ascii)
    stream.reconfigure(errors=_ERRORS)


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if sign in _ASCII:
        return _ASCII[sign], error.start + 1
    return codecs.backslashreplace_errors(
        UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    )


@contextmanager
def escaped_streams() -> Iterator[None]:
    """Inside, sys.stdout and sys.stderr escape what is written to them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Escaping(before[0]), Escaping(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def below(stream: TextIO) -> TextIO:
    """The stream below, which takes the escape codes of a progress bar; its user escapes all other text itself."""
    return stream.below if isinstance(stream, Escaping) else stream
