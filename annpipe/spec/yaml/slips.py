"""Refuses text that the parsers accept or read as YAML 1.1, and that a spec may not hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from annpipe.errors import Place, Problem
from annpipe.spec.yaml.source import Source
from annpipe.spec.yaml.yaml_mistakes import anchor_mistake, block_text_mistake, tag_mistake

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
