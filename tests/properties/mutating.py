"""How might a right spec be mistyped? Its text with one mistake, for each place where that mistake can be made.

The places come from the reader's own nodes, so that a mistake lies where a user would make it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors import Place
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, leaves, plain
from annpipe.spec.yaml.reader import read_text

VALUES = {
    "a word": "word",
    "a number in quotes": "'3'",
    "a whole number": "3",
    "a fraction": "1.5",
    "a truth value": "true",
    "nothing": "null",
    "not a number": ".nan",
    "a list of words": "[some, words]",
    "a list of one number": "[1]",
    "an empty list": "[]",
    "a mapping": "{some: word}",
    "an empty mapping": "{}",
}


@dataclass(frozen=True)
class Mistake:
    """A text with one mistake: what was done at which path, what should have been written, and where it stands now."""

    what: str
    path: tuple[str | int, ...]
    text: str
    meant: str = ""
    typed: str = ""
    line: int = 0


@dataclass(frozen=True)
class Key:
    """A key or the name of a component, its path, and what it belongs to (None for a name that stands alone)."""

    path: tuple[str | int, ...]
    node: ScalarNode
    value: Node | None
    mapping: MappingNode | None


class Written:
    """A right spec's text with its nodes."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        self.root = read_text(self.text, str(path))
        self._starts = [0]
        for line in self.text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, place: Place) -> int:
        return self._starts[place.line - 1] + place.column - 1

    def end(self, node: Node) -> int:
        """Where a value ends in the text."""
        begin = self.start(node.place)
        match node:
            case ScalarNode() if self.text[begin] == "|":
                return self._block_end(node.place)
            case ScalarNode(text="", plain=True):
                return begin
            case ScalarNode():
                return begin + node.place.length
            case _ if self.text[begin] in "[{":
                return self._bracket_end(begin)
            case ListNode(items=items):
                return self.end(items[-1])
            case MappingNode(pairs=pairs):
                return self.end(pairs[-1][1])

    def _block_end(self, place: Place) -> int:
        """The text below `|` goes on while lines are indented (the specs here have it at the top level only)."""
        line = place.line
        while self.text[self._starts[line] : self._starts[line] + 1] in (" ", "\n"):
            line += 1
        return self._starts[line] - 1

    def _bracket_end(self, begin: int) -> int:
        depth = 0
        for index in range(begin, len(self.text)):
            depth += (self.text[index] in "[{") - (self.text[index] in "]}")
            if depth == 0:
                return index + 1
        raise AssertionError(self.text[begin:])

    def replaced(self, start: int, end: int, new: str) -> str:
        return self.text[:start] + new + self.text[end:]

    def names(self) -> list[Key]:
        """Every key, and every name that stands without options."""
        return list(_keys(self.root, ()))


def _keys(node: Node, path: tuple[str | int, ...]) -> Iterator[Key]:
    match node:
        case ScalarNode(value=str(), plain=True) if path[-1] in ("loss", "optimizer") or path[0] in _NAMED[: len(path)]:
            yield Key(path, node, None, None)
        case ListNode(items=items):
            for position, item in enumerate(items):
                yield from _keys(item, (*path, position))
        case MappingNode(pairs=pairs):
            for key, value in pairs:
                yield Key((*path, key.text), key, value, node)
                yield from _keys(value, (*path, key.text))


_NAMED = ("model", "metrics", "plots", "callbacks")


# --- misspelling


def misspellings(written: Written, *, thorough: bool) -> Iterator[Mistake]:
    """Each name with a letter dropped, swapped with the next, doubled and replaced: all four at one letter, or two of
    them at each letter in turn."""
    for number, key in enumerate(written.names()):
        name, begin = key.node.text, written.start(key.node.place)
        words = [list(_mistyped(name, place)) for place in (range(len(name)) if thorough else [number % len(name)])]
        some = [word for place, typed in enumerate(words) for word in (typed[place % 2 :: 2] if thorough else typed)]
        for typed in dict.fromkeys(some):
            text = written.replaced(begin, begin + len(name), typed)
            yield Mistake("misspelt", key.path, text, name, typed, key.node.place.line)


def _mistyped(name: str, place: int) -> Iterator[str]:
    before, letter, after = name[:place], name[place], name[place + 1 :]
    if len(name) > 1:
        yield before + after
    if after and after[0] != letter:
        yield before + after[0] + letter + after[1:]
    yield before + letter + letter + after
    yield before + ("q" if letter != "q" else "z") + after


# --- values, missing keys, repeated keys


def retypings(written: Written) -> Iterator[Mistake]:
    """Each value replaced by one of each other type."""
    for path, leaf in leaves(written.root):
        for what, value in VALUES.items():
            if value != leaf.text:
                yield Mistake(what, path, written.replaced(written.start(leaf.place), written.end(leaf), value))


def deletions(written: Written) -> Iterator[Mistake]:
    """Each key taken out, with its value."""
    for key in written.names():
        if key.value is None:
            continue
        start, end = _span(written, key)
        rest = written.text[end:]
        if rest.startswith(", "):
            end += 2
        elif rest[:1] in ("}", "]") and written.text[:start].endswith(", "):
            start -= 2
        yield Mistake("deleted", key.path, written.replaced(start, end, ""))


def repetitions(written: Written) -> Iterator[Mistake]:
    """Each key written twice, with its value."""
    for key in written.names():
        if key.value is None or key.mapping is None:
            continue
        start, end = _span(written, key)
        pair = written.text[start:end]
        first = written.start(key.mapping.place)
        if written.text[first] == "{":
            twice = f"{pair}, {pair}"
        elif _in_brackets(written, start):  # `[Linear: 1]`: a mapping without braces
            twice = f"{{{pair}, {pair}}}"
        else:
            twice = f"{pair}\n{' ' * (key.node.place.column - 1)}{pair}"
        yield Mistake("repeated", key.path, written.replaced(start, end, twice), meant=key.node.text)


def _span(written: Written, key: Key) -> tuple[int, int]:
    assert key.value is not None
    return written.start(key.node.place), written.end(key.value)


def _in_brackets(written: Written, index: int) -> bool:
    line = written.text[written.text.rfind("\n", 0, index) + 1 : index]
    return line.count("[") > line.count("]")


# --- layout


def lost_dashes(written: Written) -> Iterator[Mistake]:
    """Each list item without its dash, its text where it was or where the dash was."""
    for key in written.names():
        if isinstance(key.value, ListNode) and written.text[written.start(key.value.place)] == "-":
            for position, item in enumerate(key.value.items):
                start = written.start(item.place)
                dash = written.text.rindex("-", 0, start)
                for what, new in (("dash left out", "  "), ("item outdented", "")):
                    yield Mistake(what, (*key.path, position), written.replaced(dash, start, new))


def moved_sections(written: Written) -> Iterator[Mistake]:
    """Each section put under each other one."""
    sections = [key for key in written.names() if len(key.path) == 1 and key.mapping is not None]
    for moved in sections:
        assert moved.value is not None
        start, end = _span(written, moved)
        said = f"{moved.node.text}: {json.dumps(plain(moved.value), ensure_ascii=False)}"
        for other in sections:
            if other is not moved:
                at, new = _opening(written, other, said)
                text = "".join(_edited(written.text, [(start, end, ""), (at, at, new)]))
                yield Mistake(f"under {other.node.text}", moved.path, text)


def _opening(written: Written, key: Key, said: str) -> tuple[int, str]:
    """Where a first entry of a section would stand, and how it would be written there."""
    assert key.value is not None
    start = written.start(key.value.place)
    indent = " " * (key.value.place.column - 1)
    match key.value:
        case ListNode() if written.text[start] == "-":
            return start, f"- {said}\n{indent}"
        case MappingNode() if written.text[start] != "{":
            return start, f"{said}\n{indent}"
        case ListNode() | MappingNode():
            return start + 1, f"{said}, "
        case _:
            return written.end(key.value), f"\n  {said}"


def _edited(text: str, edits: list[tuple[int, int, str]]) -> Iterator[str]:
    done = 0
    for start, end, new in sorted(edits):
        yield text[done:start] + new
        done = end
    yield text[done:]
