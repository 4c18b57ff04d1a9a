"""YAML text → nodes: YAML 1.2 core scalars over PyYAML's event parser, strict, with the place of everything.

The parser's events are composed here, with a stack of our own, so that no input can exhaust Python's. Refused with
a place and a remedy: duplicate keys, keys that are not words, tags, merge keys, several documents, cycles, and
anything over the limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from annpipe.errors import Place, Problem, SpecError
from annpipe.spec.nodes import ListNode, MappingNode, Node, ScalarNode

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 100_000

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


def read_file(path: Path) -> MappingNode:
    """Reads a spec file; raises SpecError with the place of what is wrong."""
    shown = str(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.y*ml"))[:6] if path.parent.is_dir() else []
        help_ = f"{path.parent} has {', '.join(near)}" if near else "give the path of a spec: a YAML file"
        raise SpecError([Problem("file-not-found", f"there is no file '{shown}'", None, help_)]) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError([Problem("file-not-readable", f"'{shown}' cannot be read: {reason}")]) from None
    if len(data) > MAX_BYTES:
        message = f"'{shown}' has {len(data):,} bytes; a spec has at most {MAX_BYTES:,}"
        raise SpecError([Problem("spec-too-large", message, None, "keep data in data files")])
    try:
        return read_text(data.decode("utf-8-sig"), shown)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"this is not UTF-8 text: byte 0x{data[error.start]:02x} on line {line}"
        raise SpecError([Problem("not-utf8", message, Place(shown, line, 1), "save the file as UTF-8")]) from None


def read_text(text: str, file: str) -> MappingNode:
    """Reads a spec's text; `file` is what places call it."""
    composer = _Composer(file)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise SpecError([_not_yaml(error, file)]) from None
    except yaml.YAMLError as error:
        raise SpecError([Problem("not-yaml", f"this is not YAML: {error}", Place(file, 1, 1))]) from None
    if composer.problems:
        raise SpecError(composer.problems)
    if not isinstance(composer.root, MappingNode):
        place = composer.root.place if composer.root else Place(file, 1, 1)
        message = "a spec is a mapping of sections" if composer.root else "the spec is empty"
        raise SpecError([Problem("not-a-mapping", message, place, "begin with `version: 1`, `name: …`, `data: …`")])
    return composer.root


def _not_yaml(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    text = error.problem or "it cannot be parsed"
    help_ = "indent with spaces: YAML knows no tabs" if "\\t" in text else None
    return Problem("not-yaml", f"this is not YAML: {text}", place, help_)


@dataclass
class _Open:
    """A collection whose end has not come yet."""

    is_mapping: bool
    place: Place
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    size: int = 1


class _Composer:
    """Builds nodes out of parser events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._documents = 0
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._stop("several-documents", "a spec is one document", event, "put the second in its own file")
            case yaml.ScalarEvent():
                self._refuse_tag(event)
                self._place_node(self._scalar(event), 1, event.anchor)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._refuse_tag(event)
                if len(self._open) >= MAX_DEPTH:
                    self._stop("spec-too-deep", f"a spec nests at most {MAX_DEPTH} levels", event, "flatten it")
                self._open.append(_Open(isinstance(event, yaml.MappingStartEvent), self._place(event), event.anchor))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                closed = self._open.pop()
                self._place_node(self._close(closed), closed.size, closed.anchor)

    def _place(self, event: yaml.Event) -> Place:
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        length = end.index - start.index if end.line == start.line else 1
        return Place(self.file, start.line + 1, start.column + 1, max(1, length))

    def _stop(self, code: str, message: str, event: yaml.Event, help_: str) -> None:
        """Raises at once: what follows could not be read sensibly."""
        raise SpecError([*self.problems, Problem(code, message, self._place(event), help_)])

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            help_ = "write the plain value: a spec is data, types come from the component's options"
            self.problems.append(
                Problem("yaml-tag", f"the tag '{event.tag}' is not allowed", self._place(event), help_)
            )

    def _place_node(self, node: Node, size: int, anchor: str | None) -> None:
        self._nodes += 1
        if anchor:
            self._anchors[anchor] = (node, size)
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.items.append(node)
        parent.size += size
        if parent.size > MAX_NODES:
            message = f"with its aliases the spec has more than {MAX_NODES:,} values"
            raise SpecError([Problem("spec-too-large", message, node.place, "keep data in data files")])

    def _alias(self, event: yaml.AliasEvent) -> None:
        known = self._anchors.get(event.anchor or "")
        if known is None:
            cyclic = any(opened.anchor == event.anchor for opened in self._open)
            message = f"the alias '*{event.anchor}' " + (
                "stands inside itself" if cyclic else "has no anchor before it"
            )
            self._stop("yaml-alias", message, event, f"put `&{event.anchor}` at an earlier value, or write it out")
        else:
            self._place_node(known[0], known[1], None)

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        is_plain = event.style is None
        place = self._place(event)
        if not is_plain:
            return ScalarNode(event.value, event.value, False, place)
        try:
            return ScalarNode(core_value(event.value), event.value, True, place)
        except ValueError:
            self.problems.append(
                Problem("number-too-long", "this number has too many digits", place, "write it as 1e30")
            )
            return ScalarNode(0, event.value, True, place)

    def _close(self, opened: _Open) -> Node:
        if not opened.is_mapping:
            return ListNode(tuple(opened.items), opened.place)
        pairs: dict[str, tuple[ScalarNode, Node]] = {}
        for key, value in zip(opened.items[::2], opened.items[1::2], strict=True):
            name = self._key(key)
            if name is None:
                continue
            if name.value in pairs:
                first = pairs[str(name.value)][0].place
                message = f"the key '{name.value}' stands twice"
                problem = Problem("duplicate-key", message, name.place, "keep one", ((first, "first here"),))
                self.problems.append(problem)
                continue
            pairs[str(name.value)] = (name, value)
        return MappingNode(tuple(pairs.values()), opened.place)

    def _key(self, key: Node) -> ScalarNode | None:
        """The key as a string node; a number or a word like `true` is taken as the text written."""
        if not isinstance(key, ScalarNode):
            self.problems.append(Problem("yaml-key", "a key is a word, not a collection", key.place, "quote it"))
            return None
        if key.plain and key.text == "<<":
            help_ = "repeat the keys, or give a whole value an anchor (`&name`) and use `*name`"
            self.problems.append(Problem("yaml-merge", "merge keys `<<` are not part of YAML 1.2", key.place, help_))
            return None
        return ScalarNode(key.text, key.text, key.plain, key.place)


def core_value(text: str) -> bool | int | float | str | None:
    """A plain scalar by the core schema of YAML 1.2, except that a number with a leading zero (`017`) is a word.

    Raises ValueError for an integer of more digits than Python converts.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    if _HEX_OCTAL.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    if match := _INFINITY.match(text):
        return float(match[1] + "inf")
    return float("nan") if text in _NAN else text
