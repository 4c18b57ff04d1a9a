"""Where in a plugin's source a component or one of its parameters stands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors import Place
from annpipe.registry.kinds import KINDS

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def name_place(file: str, line: int) -> Place | None:
    """The name of the class or function whose definition is at `line`; None without a source."""
    if not file:
        return None
    node = _definition_at(file, line)
    if node is None:
        return Place(file, line, 1)
    keyword = {"ClassDef": "class ", "FunctionDef": "def ", "AsyncFunctionDef": "async def "}[type(node).__name__]
    return Place(file, line, node.col_offset + len(keyword) + 1, len(node.name))


def parameter_place(file: str, line: int, parameter: str) -> Place | None:
    """The parameter of the class or function whose definition is at `line`, else its name."""
    node = _definition_at(file, line) if file else None
    for parameter_at in _parameters(node) if node else ():
        if parameter_at[0] == parameter:
            return Place(file, parameter_at[1], parameter_at[2] + 1, len(parameter))
    return name_place(file, line)


def defined_at(file: Path, name: str) -> Place | None:
    """Where a source defines a class or function of a name, or gives it in a mark; one that is no Python may be read,
    too."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return None
    defines = re.compile(rf"""^\s*(?:class|def)\s+({re.escape(name)})\b|\bname\s*=\s*["']({re.escape(name)})["']""")
    for number, line in enumerate(lines, start=1):
        if match := defines.search(line):
            return Place(str(file), number, match.start(match.lastindex or 0) + 1, len(name))
    return None


@dataclass(frozen=True)
class MarkedDefinition:
    """A component as its source shows it: the kind of its mark, its name in specs, and where that is defined."""

    kind: str
    name: str
    place: Place


def marked_in(file: Path) -> list[MarkedDefinition]:
    """The components that a source marks, without importing it; none of a source that is no Python."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8-sig"))
    except (OSError, SyntaxError, ValueError):
        return []
    marked = []
    for node in tree.body:
        for mark in node.decorator_list if isinstance(node, Definition) else ():
            function = mark.func if isinstance(mark, ast.Call) else mark
            kind = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if isinstance(node, Definition) and kind in KINDS:
                place = name_place(str(file), node.lineno) or Place(str(file), node.lineno, 1)
                marked.append(MarkedDefinition(kind, _name_in(mark) or node.name, place))
    return marked


def _name_in(mark: ast.expr) -> str:
    """The name that a mark gives, else the empty string."""
    keywords = mark.keywords if isinstance(mark, ast.Call) else []
    values = [word.value for word in keywords if word.arg == "name"]
    return next((str(value.value) for value in values if isinstance(value, ast.Constant) and value.value), "")


def _definition_at(file: str, line: int) -> Definition | None:
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, SyntaxError, ValueError):
        return None
    return next((node for node in ast.walk(tree) if isinstance(node, Definition) and node.lineno == line), None)


def _parameters(node: Definition) -> Iterator[tuple[str, int, int]]:
    """Name, line and column of each parameter; those of a class are its `__init__`'s, else its annotated fields."""
    if not isinstance(node, ast.ClassDef):
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        yield from ((arg.arg, arg.lineno, arg.col_offset) for arg in named if arg)
        return
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            yield from _parameters(statement)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, statement.target.lineno, statement.target.col_offset
