"""Edits the text of one definition, so that its comments and layout stay: marks, annotations, names."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from annpipe.eject.scopes import outer_names

_REMARK = re.compile(r"[ ]*# (?:type: ignore|noqa|fmt:)[^\n]*")
Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Use:
    """A name that a definition uses from outside it, with the attribute that follows; `text` as it is written."""

    name: str
    attribute: str | None
    start: int
    end: int
    text: str


class Edits:
    """Replacements in the text of a statement, gathered and then made at once."""

    def __init__(self, source: str, node: ast.stmt) -> None:
        self._bytes = source.encode()
        self._starts = [0]
        for line in source.encode().splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._node = node
        self._edits: list[tuple[int, int, str]] = []
        self._dropped: list[tuple[int, int]] = []

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _whole_lines(self, start: int, end: int) -> tuple[int, int]:
        """The span with the margin before it and the end of its last line."""
        begin = self._bytes.rfind(b"\n", 0, start) + 1
        stop = self._bytes.find(b"\n", end)
        return begin, len(self._bytes) if stop < 0 else stop + 1

    def _drop(self, start: int, end: int) -> None:
        self._edits.append((start, end, ""))
        self._dropped.append((start, end))

    def drop_methods(self, names: frozenset[str]) -> None:
        """Leaves methods out that the definition itself does not call."""
        if not isinstance(self._node, ast.ClassDef):
            return
        called = {node.attr for node in ast.walk(self._node) if isinstance(node, ast.Attribute)}
        for method in self._node.body:
            if isinstance(method, ast.FunctionDef) and method.name in names - called:
                start, end = self._whole_lines(*self._span(method))
                while self._bytes[:start].endswith(b"\n\n"):  # the blank line before it
                    start -= 1
                self._drop(start, end)

    def drop_decorators(self, is_mark: Callable[[str], bool]) -> None:
        """Leaves decorators out whose first name is a mark."""
        for node in ast.walk(self._node):
            for decorator in node.decorator_list if isinstance(node, Defined) else []:
                if is_mark(_root(decorator)):
                    start, end = self._span(decorator)
                    self._drop(*self._whole_lines(start, end))

    def plain_annotations(self, annotated: frozenset[str]) -> None:
        """`Annotated[int, Field(…)]` → `int`."""
        for node in ast.walk(self._node):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) in annotated:
                assert isinstance(node.slice, ast.Tuple)
                start, end = self._span(node)
                inner_start, inner_end = self._span(node.slice.elts[0])
                self._drop(start, inner_start)
                self._drop(inner_end, end)

    def uses(self) -> Iterator[Use]:
        """The names of the file's own that the statement uses and that stay in its text."""
        for node in outer_names(self._node):
            if isinstance(node, ast.Attribute):
                assert isinstance(node.value, ast.Name)
                yield from self._use(node, node.value.id, node.attr)
            else:
                yield from self._use(node, node.id, None)
        if isinstance(self._node, Defined):
            keyword = self._bytes.index(self._node.name.encode(), self._name_from())
            yield Use(self._node.name, None, keyword, keyword + len(self._node.name.encode()), self._node.name)

    def _name_from(self) -> int:
        """Where the statement begins after its decorators."""
        return self._starts[self._node.lineno - 1] + self._node.col_offset + len("def ")

    def _use(self, node: ast.expr, name: str, attribute: str | None) -> Iterator[Use]:
        start, end = self._span(node)
        if not any(begin <= start and end <= stop for begin, stop in self._dropped):
            yield Use(name, attribute, start, end, self._bytes[start:end].decode())

    def replace(self, use: Use, text: str) -> None:
        """Writes another text where a name is used."""
        self._edits.append((use.start, use.end, text))

    def result(self) -> str:
        """The text of the statement after all edits, without the margin that it has."""
        first = min([self._node.lineno, *(d.lineno for d in getattr(self._node, "decorator_list", []))])
        begin = self._starts[first - 1]
        _, end = self._whole_lines(*self._span(self._node))
        text = self._bytes
        for start, stop, new in sorted(set(self._edits), reverse=True):
            text = text[:start] + new.encode() + text[stop:]
            end += len(new.encode()) - (stop - start)
        return textwrap.dedent(text[begin:end].decode()).strip("\n")


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def stripped_comments(text: str) -> str:
    """The text without remarks to checkers of types and style."""
    return "\n".join(line.rstrip() for line in _REMARK.sub("", text).split("\n"))
