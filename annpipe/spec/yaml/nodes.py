"""Nodes of a spec's text: each key and value with its line and column, and plain scalars resolved by YAML 1.2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from annpipe.errors import Place
from annpipe.errors.redact import scrub

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_HEX_OCTAL = re.compile(r"0(x[0-9a-fA-F]+|o[0-7]+)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)\Z")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NAN = (".nan", ".NaN", ".NAN")
MAX_DIGITS = 1000


def core_value(text: str) -> bool | int | float | str | None:
    """A plain scalar by the core schema of YAML 1.2, except that a number with a leading zero (`017`) is a word.

    Raises ValueError for a number of more than `MAX_DIGITS` characters: converting it takes quadratic time.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.match(text):
        return int(_bounded(text))
    if _HEX_OCTAL.match(text):
        return int(_bounded(text), 0)
    if _FLOAT.match(text):
        return float(_bounded(text))
    if match := _INFINITY.match(text):
        return float(match[1] + "inf")
    return float("nan") if text in _NAN else text


def _bounded(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters")
    return text


@dataclass(frozen=True)
class ScalarNode:
    """One value: `value` by YAML 1.2's core rules, `text` as written, `plain` when it stood without quotes.

    `place` is where the value was written; `used` where it came to stand through a variable (so for every node).
    """

    value: bool | int | float | str | None
    text: str
    plain: bool
    place: Place
    used: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ListNode:
    """A list, `place` at its first character."""

    items: tuple[Node, ...]
    place: Place
    used: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class MappingNode:
    """A mapping in the order written; keys are strings and stand once.

    `beneath` is the scalar or list that the mapping was laid over by an override or an extending spec: where it holds
    a component's options by position (`Linear: 100`), they still count.
    """

    pairs: tuple[tuple[ScalarNode, Node], ...]
    place: Place
    used: Place | None = field(default=None, compare=False)
    beneath: Node | None = field(default=None, compare=False)

    def get(self, key: str) -> Node | None:
        return next((value for name, value in self.pairs if name.value == key), None)

    def key(self, key: str) -> ScalarNode | None:
        return next((name for name, _ in self.pairs if name.value == key), None)

    @property
    def keys(self) -> list[str]:
        return [str(name.value) for name, _ in self.pairs]


Node = ScalarNode | ListNode | MappingNode


def plain(node: Node) -> Any:
    """The node as ordinary Python data, without places."""
    match node:
        case ScalarNode(value=value):
            return value
        case ListNode(items=items):
            return [plain(item) for item in items]
        case MappingNode(pairs=pairs):
            return {str(key.value): plain(value) for key, value in pairs}


def descend(node: Node, path: Sequence[str | int]) -> tuple[Node, int]:
    """Follows `path` as far as it leads: the deepest node reached and how many steps were taken."""
    for taken, step in enumerate(path):
        below = _child(node, step)
        if below is None:
            return node, taken
        node = below
    return node, len(path)


def _child(node: Node, step: str | int) -> Node | None:
    match node:
        case MappingNode():
            return node.get(str(step))
        case ListNode(items=items) if isinstance(step, int) and 0 <= step < len(items):
            return items[step]
    return None


def leaves(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], ScalarNode]]:
    """Every scalar below `node` with its path."""
    match node:
        case ScalarNode():
            yield path, node
        case ListNode(items=items):
            for position, item in enumerate(items):
                yield from leaves(item, (*path, position))
        case MappingNode(pairs=pairs):
            for key, value in pairs:
                yield from leaves(value, (*path, str(key.value)))


def in_words(node: Node) -> str:
    """What was written, in words for an error: `the word 'fast'`, `the number 3`, `a list`."""
    match node:
        case ScalarNode(value=None):
            return "nothing"
        case ScalarNode(value=bool() as value):
            return "true" if value else "false"
        case ScalarNode(value=int() | float(), text=text):
            return f"the number {text}"
        case ScalarNode(value=str() as text, plain=is_plain):
            shown = scrub(text)  # before it is cut: half a URI is not known for one
            short = shown if len(shown) <= 40 else shown[:39] + "…"
            return f"the {'word' if is_plain and ' ' not in text else 'text'} '{short}'"
        case ListNode(items=items):
            return f"a list of {len(items)}"
        case _:
            return "a mapping"
