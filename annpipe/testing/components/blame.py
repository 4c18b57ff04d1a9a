"""Finds the line of a component's file at which something changed, by watching its lines one after another.

It is asked only after a check has failed: watching makes code many times slower.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from annpipe.registry.entry import Entry


def line_that_changes(file: str, probe: Callable[[], Any], call: Callable[[], Any]) -> int:
    """The first line of `file`, run by `call`, after which `probe` gives another value; 0 where there is none."""
    watching = _Watching(file, probe)
    before = sys.gettrace()
    sys.settrace(watching.enter)
    try:
        call()
    except Exception:  # the check has reported it, or what is watched comes before it
        pass
    finally:
        sys.settrace(before)
    return watching.changed_at


class _Watching:
    """A trace function that compares a value after each line of one file."""

    def __init__(self, file: str, probe: Callable[[], Any]) -> None:
        self.file, self.probe, self.changed_at = file, probe, 0
        self._value = probe()

    def enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Is called by Python for each function that is entered."""
        if frame.f_code.co_filename != self.file:
            return None
        line = frame.f_lineno
        if not self.changed_at:
            self._value = self.probe()  # what changed meanwhile, others changed

        def after_line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal line
            if not self.changed_at and (value := self.probe()) != self._value:
                self.changed_at, self._value = line, value
            line = frame.f_lineno
            return after_line

        return after_line


def source_tree(entry: Entry) -> ast.Module | None:
    """The syntax tree of the component's file; None where there is no source."""
    try:
        return ast.parse(Path(entry.file).read_text(encoding="utf-8-sig")) if entry.file else None
    except (OSError, SyntaxError, ValueError):
        return None


def definition_of(entry: Entry) -> ast.ClassDef | ast.FunctionDef | None:
    """The class or function of the component in its source; None where it is not there."""
    tree = source_tree(entry)
    nodes = ast.walk(tree) if tree else ()
    kinds = (ast.ClassDef, ast.FunctionDef)
    return next((node for node in nodes if isinstance(node, kinds) and node.lineno == entry.line), None)


def line_of_method(entry: Entry, *names: str) -> int:
    """The line of the first of these methods that the component's class has; 0 where it has none."""
    node = definition_of(entry)
    methods = {part.name: part.lineno for part in node.body if isinstance(part, ast.FunctionDef)} if node else {}
    return next((methods[name] for name in names if name in methods), 0)


def line_of_attribute(entry: Entry, name: str) -> int:
    """The first line of the component's class at which `self.NAME` is set; 0 where it is not set."""
    node = definition_of(entry)
    set_at = [
        part.lineno
        for part in (ast.walk(node) if node else ())
        if isinstance(part, ast.Attribute) and part.attr == name and isinstance(part.ctx, ast.Store)
    ]
    return min(set_at, default=0)


def line_with(entry: Entry, pattern: str) -> int:
    """The first line of the component's definition in which a pattern is found; 0 where there is none."""
    node = definition_of(entry)
    if node is None or node.end_lineno is None:
        return 0
    lines = Path(entry.file).read_text(encoding="utf-8-sig").splitlines()[node.lineno - 1 : node.end_lineno]
    numbers = (number for number, line in enumerate(lines, start=node.lineno) if re.search(pattern, line))
    return next(numbers, 0)
