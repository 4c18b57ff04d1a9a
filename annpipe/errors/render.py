"""Draws problems as a compiler does: code, place, excerpt with carets, help."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from annpipe.errors import Place, Problem, visible
from annpipe.errors.redact import scrub_marked
from annpipe.errors.width import text_width

LINE = 160  # columns of an excerpt; a longer line is cut around its carets
_BREAK = re.compile(r"\r\n|\r|\n")


def render(problem: Problem) -> str:
    """Draws one problem; every place has its line, as far as its file can be read."""
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
    first = [(problem.place, "")] if problem.place else []
    return first + list(problem.related)


def _excerpt(place: Place, note: str, gutter: int, opening: str) -> list[str]:
    pad = " " * gutter
    lines = [f"{pad} {opening} {place}"]
    source = _source_line(place)
    if not source:  # no file to show, or an empty line
        return [*lines, f"{pad} │ {note}"] if note else lines
    source, start, end = _cut(*scrub_marked(source, place.column - 1, place.column - 1 + place.length))
    before, marked = source[:start], source[start:end]
    carets = "^" * max(1, text_width(marked))
    lines += [f"{pad} │", f"{place.line:>{gutter}} │ {source}", f"{pad} │ {_blank(before)}{carets} {note}".rstrip()]
    return lines


def _cut(line: str, start: int, end: int) -> tuple[str, int, int]:
    """A line for a terminal: nothing in it steers one, and a long one is cut to what lies round the marked stretch."""
    line = line.rstrip("\n")
    before, marked = visible(line[:start]), visible(line[start:end])
    line, start, end = before + marked + visible(line[end:]), len(before), len(before) + len(marked)
    if len(line) <= LINE:
        return line, start, end
    first = max(0, min(start - LINE // 4, len(line) - LINE))
    last = first + LINE
    head, tail = "…" if first else "", "…" if last < len(line) else ""
    return head + line[first:last] + tail, start - first + len(head), min(end, last) - first + len(head)


def _source_line(place: Place) -> str | None:
    if place.on_command_line:
        return place.file
    try:
        stat = os.stat(place.file)
        lines = _lines(place.file, stat.st_mtime_ns, stat.st_size)
    except (OSError, UnicodeDecodeError, ValueError):
        return None
    return lines[place.line - 1] if 0 < place.line <= len(lines) else None


@lru_cache(maxsize=8)
def _lines(file: str, changed: int, size: int) -> list[str]:
    """The lines of a file as it was when it `changed` last: many problems may stand in one."""
    with Path(file).open(encoding="utf-8-sig", newline="") as text:
        return _BREAK.split(text.read())


def _blank(text: str) -> str:
    """Spaces as wide as `text` on a terminal; tabs stay tabs so that the carets line up."""
    return "".join("\t" if char == "\t" else " " * text_width(char) for char in text)
