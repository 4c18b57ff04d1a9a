"""Turns a parser's events into nodes with their places, and refuses the YAML features that a spec may not use.

The tree is built with a stack of our own, so that no input can exhaust Python's. Refused with a place and a remedy:
duplicate keys, keys that are not words, tags, merge keys, directives, several documents, cycles, and anything over the
limits.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from annpipe.errors import Place, Problem, Problems, SpecError
from annpipe.spec.yaml.nodes import ListNode, MappingNode, Node, ScalarNode, core_value
from annpipe.spec.yaml.parser import Parser, events, may_slip, parsers, slips
from annpipe.spec.yaml.source import Source, short
from annpipe.spec.yaml.yaml_mistakes import explain

MAX_DEPTH = 64
MAX_NODES = 100_000

_CONTENT = re.compile(r"(?:\A|(?<=[\r\n]))[ \t]*(?P<first>[^ \t\r\n#])")


def compose(text: str, file: str, parser: Parser | None = None) -> Node | None:
    """The tree that `text` describes, whatever its root; None for a text without content.

    Raises SpecError with the place of what is wrong.
    """
    source = Source(text.removeprefix("\ufeff"), file)
    source.refuse_characters()
    composer = _Composer(source)
    composer.refuse_directive(0)
    try:
        with _collector_resting():
            for event in events(source.text, parser or parsers()[0]):
                composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise SpecError([*composer.problems, explain(error, source, composer.open_bracket)]) from None
    if composer.problems:
        raise SpecError(composer.problems)
    return composer.root


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Lets Python's collector of cycles rest: a tree has none, and looking for them takes half the time of reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass
class _Open:
    """A collection whose end has not come yet; `counted` values stood before it, `height` levels are below it."""

    is_mapping: bool
    bracket: int | None
    place: Place
    anchor: str | None
    counted: int
    height: int = 0
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class _Anchored:
    """A value that an alias may repeat: how many values it holds, and how deep it is."""

    node: Node
    size: int
    height: int


class _Composer:
    """Builds nodes out of parser events."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Node | None = None
        self.problems = Problems()
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._documents = 0
        self._counted = 0  # values so far, each alias counted as all that it stands for

    @property
    def open_bracket(self) -> int | None:
        """Where the innermost `[` or `{` stands that has not been closed."""
        return self._open[-1].bracket if self._open else None

    def take(self, event: Any) -> None:  # the stubs do not tell what each kind has
        """Goes on by one event; kinds that are not named here say nothing."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._note_slips(event)
            self._count(1, event)
            self._put(self._scalar(event), 1, 0, event.anchor)
        elif kind is yaml.SequenceStartEvent or kind is yaml.MappingStartEvent:
            self._note_slips(event)
            self._begin(event)
        elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            self._note_slips(event)
            closed = self._open.pop()
            self._put(self._close(closed), self._counted - closed.counted, closed.height + 1, closed.anchor)
        elif kind is yaml.AliasEvent:
            self._note_slips(event)
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._begin_document(event)
        elif kind is yaml.DocumentEndEvent:
            self.refuse_directive(_index(event.end_mark))

    def _begin_document(self, event: yaml.Event) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop("several-documents", "a spec is one document", event, "put the second in its own file")

    def _note_slips(self, event: Any) -> None:
        if may_slip(event, self.source.text):
            self.problems += slips(event, self.source, in_brackets=self.open_bracket is not None)

    def refuse_directive(self, begin: int) -> None:
        """Stops at a `%` that begins the next line with content: a parser may take long over many of them."""
        content = _CONTENT.search(self.source.text, begin)
        if content and content["first"] == "%" and content.start() == content.start("first"):
            place = self.source.rest_of_line(content.start())
            help_ = "leave this line out: a spec is always read as YAML 1.2"
            problem = Problem("yaml-directive", "directives (`%YAML`, `%TAG`) have no place in a spec", place, help_)
            raise SpecError([*self.problems, problem])

    def _begin(self, event: Any) -> None:
        self._deepen(1, event)
        self._anchors.pop(event.anchor or "", None)  # from here on the name stands for this collection
        bracket = _index(event.end_mark) - 1 if event.flow_style else None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(is_mapping, bracket, self._place(event), event.anchor, self._counted))
        self._count(1, event)

    def _deepen(self, levels: int, event: yaml.Event) -> None:
        if len(self._open) + levels > MAX_DEPTH:
            self._stop("spec-too-deep", f"a spec nests at most {MAX_DEPTH} levels", event, "flatten it")

    def _count(self, size: int, event: yaml.Event) -> None:
        self._counted += size
        if self._counted > MAX_NODES:
            message = f"with its aliases the spec has more than {MAX_NODES:,} values"
            self._stop("spec-too-large", message, event, "keep data in data files")

    def _put(self, node: Node, size: int, height: int, anchor: str | None) -> None:
        """Puts a finished value where it belongs."""
        if anchor:
            self._anchors[anchor] = _Anchored(node, size, height)
        if self._open:
            parent = self._open[-1]
            parent.items.append(node)
            if height > parent.height:
                parent.height = height
        else:
            self.root = node

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        index, line = start.index, start.line
        if index >= self.source.end:  # an empty value at the end of the text: the parsers differ on where
            return self.source.place(index)
        if end.line == line:
            return Place(self.source.file, line + 1, start.column + 1, max(1, end.index - index))
        if isinstance(event, yaml.ScalarEvent):
            return self.source.rest_of_line(index)
        return Place(self.source.file, line + 1, start.column + 1)

    def _report(self, code: str, message: str, place: Place, help_: str, *related: tuple[Place, str]) -> None:
        self.problems.append(Problem(code, message, place, help_, related))

    def _stop(self, code: str, message: str, event: yaml.Event, help_: str) -> None:
        """Raises at once: what follows could not be read sensibly."""
        raise SpecError([*self.problems, Problem(code, message, self._place(event), help_)])

    def _alias(self, event: Any) -> None:
        name = event.anchor or ""
        known = self._anchors.get(name)
        if known is None and any(opened.anchor == name for opened in self._open):
            self._stop("yaml-alias", f"the alias '*{short(name)}' stands inside itself", event, "write the value out")
        elif known is None:
            help_ = f"put `&{short(name)}` at an earlier value, or write it out"
            self._stop("yaml-alias", f"the alias '*{short(name)}' has no anchor before it", event, help_)
        else:
            self._deepen(known.height, event)
            self._count(known.size, event)
            self._put(known.node, known.size, known.height, None)

    def _scalar(self, event: Any) -> ScalarNode:
        is_plain = not event.style  # None or empty, by the parser
        place = self._place(event)
        if not is_plain:
            return ScalarNode(event.value, event.value, False, place)
        try:
            return ScalarNode(core_value(event.value), event.value, True, place)
        except ValueError:
            self._report("number-too-long", "this number has too many digits", place, "write it as 1e30")
            return ScalarNode(0, event.value, True, place)

    def _close(self, opened: _Open) -> Node:
        if not opened.is_mapping:
            return ListNode(tuple(opened.items), opened.place)
        pairs: dict[str, tuple[ScalarNode, Node]] = {}
        for key, value in zip(opened.items[::2], opened.items[1::2], strict=True):
            name = self._key(key, opened)
            if name is None:
                continue
            if name.text in pairs:
                first = pairs[name.text][0].place
                message = f"the key '{short(name.text)}' stands twice"
                self._report("duplicate-key", message, name.place, "keep one", (first, "first here"))
                continue
            pairs[name.text] = (name, value)
        return MappingNode(tuple(pairs.values()), opened.place)

    def _key(self, key: Node, mapping: _Open) -> ScalarNode | None:
        """The key as a string node; a number or a word like `true` is taken as the text written."""
        if not isinstance(key, ScalarNode):
            self._report("yaml-key", "a key is a word, not a collection", key.place, "quote it")
            return None
        if key.plain and key.text == "<<":
            help_ = "repeat the keys, or give a whole value an anchor (`&name`) and use `*name`"
            self._report("yaml-merge", "merge keys `<<` are not part of YAML 1.2", key.place, help_)
            return None
        if key.plain and not key.text:
            self._report("yaml-key", "in this mapping a value has no key", mapping.place, "write `key: value`")
            return None
        return key if isinstance(key.value, str) else ScalarNode(key.text, key.text, key.plain, key.place)


def _index(mark: Any) -> int:
    index: int = mark.index  # the two parsers' marks have no type in common
    return index
