"""Parses YAML into events: with PyYAML's C parser, or its Python parser made to agree with it.

Only their events are used, one at a time: the depth is checked before anything recursive could be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml
from yaml.scanner import ScannerError

Parser: TypeAlias = type[Any]

MAX_BYTES = 1 << 20
MAX_BYTES_IN_PYTHON = 1 << 15  # what the parser in Python reads in about a second

# The buffer that these look into ends with \0; a colon ends a word when a blank follows.
_WORD = re.compile(r"(?:[^ \t\r\n\0:]|:(?![ \t\r\n\0]))*")
_WORD_IN_BRACKETS = re.compile(r"(?:[^ \t\r\n\0:,\[\]{}]|:(?![ \t\r\n\0,?\[\]{}]))*")
_TIGHT_COLON = re.compile(r":[,?\[\]{}]")


class PythonParser(yaml.SafeLoader):
    """PyYAML's parser in Python; what it reads otherwise than the one in C is read here as the latter does."""

    def scan_to_next_token(self) -> None:
        """Goes on over tabs too where they are no indentation: before a comment, after a colon or a comma."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def scan_plain(self) -> yaml.ScalarToken:
        """A text without quotes, over one line or several."""
        begin = end = self.get_mark()
        chunks: list[str] = []
        spaces: list[str] = []
        while word := self._word(begin):
            self.allow_simple_key = False
            chunks += [*spaces, word]
            end = self.get_mark()
            spaces = self.scan_plain_spaces(self.indent + 1, begin) or []
            if not spaces or not (self.flow_level or self.column > self.indent):
                break
        return yaml.ScalarToken("".join(chunks), True, begin, end)

    def _word(self, begin: Any) -> str:
        pattern = _WORD_IN_BRACKETS if self.flow_level else _WORD
        match = pattern.match(self.buffer, self.pointer)
        word = "" if match is None or self.peek() == "#" else match[0]
        self.forward(len(word))
        if self.flow_level and _TIGHT_COLON.match(self.buffer, self.pointer):
            raise ScannerError("while scanning a plain scalar", begin, "found unexpected ':'", self.get_mark())
        return word

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> list[str] | None:
        """What stands between two words: blanks as they are, or line breaks folded; no tab in the indentation."""
        blanks, breaks = "", list[str]()
        while (char := self.peek()) in (" ", "\t", "\r", "\n"):
            if char in "\r\n":
                breaks.append(self.scan_line_break())  # type: ignore[no-untyped-call]  # the stubs leave it bare
                self.allow_simple_key = True
                if self.prefix(3) in ("---", "...") and self.peek(3) in " \t\r\n\0":
                    return None
                continue
            if breaks and char == "\t" and self.column < indent:
                problem = "found a tab character that violates indentation"
                raise ScannerError("while scanning a plain scalar", start_mark, problem, self.get_mark())
            blanks += "" if breaks else char
            self.forward()
        if not breaks:
            return [blanks] if blanks else []
        return breaks[1:] or [" "]

    def fetch_stream_end(self) -> None:
        """The end of the text, which ends its last line too: no key can go on behind it."""
        self.line += 1
        self.stale_possible_simple_keys()
        super().fetch_stream_end()

    def scan_block_scalar_indentation(self) -> Any:
        """The indentation of a block of text, in which a tab can be no part of it."""
        indentation = super().scan_block_scalar_indentation()
        if self.peek() == "\t":
            problem = "found a tab character where an indentation space is expected"
            raise ScannerError("while scanning a block scalar", None, problem, self.get_mark())
        return indentation


def parsers() -> tuple[Parser, ...]:
    """The parsers that this computer has, the fastest first."""
    in_c = getattr(yaml, "CSafeLoader", None)
    return (in_c, PythonParser) if in_c else (PythonParser,)


def max_bytes(parser: Parser) -> int:
    """The longest text that `parser` is given: it bounds the time that reading can take."""
    return MAX_BYTES_IN_PYTHON if parser is PythonParser else MAX_BYTES


def events(text: str, parser: Parser) -> Iterator[yaml.Event]:
    """The events of `text`; raises yaml.MarkedYAMLError where it is no YAML."""
    return iter(yaml.parse(text, Loader=parser))
