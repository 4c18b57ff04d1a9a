"""Parses YAML into events: with PyYAML's C parser, or its Python parser made to agree with it.

Only their events are used, one at a time: the depth is checked before anything recursive could be. What the parsers
accept or read as YAML 1.1, and a spec may not hold, is refused event by event (`slips`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml
from yaml.scanner import ScannerError

from annpipe.errors import Place, Problem
from annpipe.spec.yaml.source import Source
from annpipe.spec.yaml.yaml_mistakes import anchor_mistake, block_text_mistake, tag_mistake

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


_TOUCHING_COMMENT = re.compile(r"(?:[ \t]*,)?(?P<sign>#)")
_BEFORE_COMMENT = ("#", ",", " ", "\t")
_BLOCK_TEXT = re.compile(r"(?:&\S+[ \t]+)?(?P<sign>[|>])[-+0-9]*(?P<comment>#)?")
_AFTER_NAME = re.compile(r"[ \t\r\n,\[\]{}]|\Z")


def may_slip(event: Any, text: str) -> bool:
    """Whether a closer look at an event is worth its time; it is asked of each of a hundred thousand."""
    kind: type = type(event)
    if kind is yaml.ScalarEvent:
        start, value = event.start_mark.index, event.value
        if event.style in ("|", ">") or value == "-" or text[start - 1 : start] == "?":
            return True
        if value and (value[0].isspace() or value[-1].isspace()):
            return True
    end = event.end_mark.index
    return (
        getattr(event, "anchor", None) is not None
        or getattr(event, "tag", None) is not None
        or (text[end : end + 1] in _BEFORE_COMMENT and _TOUCHING_COMMENT.match(text, end) is not None)
    )


def slips(event: yaml.Event, source: Source, *, in_brackets: bool) -> Iterator[Problem]:
    """The problems of one event of a parser, each at its place."""
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
        if event.tag is not None:
            yield tag_mistake(source, _start(event))
        elif event.anchor and not _AFTER_NAME.match(source.text, _start(event) + 1 + len(event.anchor)):
            yield anchor_mistake(source, _start(event))
    if isinstance(event, yaml.ScalarEvent):
        yield from _scalar_slips(event, source, in_brackets)
        if event.style in ("|", ">"):
            return  # it ends where the next line begins
    if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
        comment = _TOUCHING_COMMENT.match(source.text, _end(event))
        if comment:
            help_ = "put a space before '#' to begin a comment, or put the text in quotes"
            yield Problem("not-yaml", "a space is missing before '#'", source.place(comment.start("sign")), help_)


def _scalar_slips(event: yaml.ScalarEvent, source: Source, in_brackets: bool) -> Iterator[Problem]:
    start = _start(event)
    if event.style in ("|", ">"):
        header = _BLOCK_TEXT.match(source.text, start)
        if header and header["comment"]:
            yield block_text_mistake(source, header.start("sign"), header.start("comment"))
    elif not event.style and event.value != event.value.strip():
        yield _foreign_blank(event.value, source.place(start, min(_end(event), source.line_end(start)) - start))
    if in_brackets and source.text[start - 1] == "?" and _end(event) > start:
        yield _quote_it(source.place(start - 1), "?")
    if in_brackets and event.value == "-" and not event.style:
        yield _quote_it(source.place(start), "-")


def _foreign_blank(text: str, place: Place) -> Problem:
    blank = text[0] if text[0].isspace() else text[-1]
    message = f"a blank that is no ordinary space (U+{ord(blank):04X}) stands beside this word"
    return Problem("yaml-character", message, place, "type a plain space instead, or put the text in quotes")


def _quote_it(place: Place, sign: str) -> Problem:
    message = f"a text inside brackets cannot begin with '{sign}' like this"
    return Problem("yaml-quotes", message, place, "put it in quotes")


def _start(event: Any) -> int:
    index: int = event.start_mark.index  # the marks of the two parsers have no type in common
    return index


def _end(event: Any) -> int:
    index: int = event.end_mark.index
    return index
