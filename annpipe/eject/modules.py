"""What a Python file defines and imports at its top, read from its text."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class ImportOrigin:
    """Where an imported name comes from: a module, or a member of it."""

    module: str
    member: str | None = None


@dataclass(frozen=True)
class TopStatement:
    """A statement at the top of a file, and the names that it binds."""

    node: ast.stmt
    names: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """One file: its text, what it defines by name, and what it imports by name."""

    file: str
    name: str
    source: str
    definitions: dict[str, TopStatement] = field(default_factory=dict)
    imported: dict[str, ImportOrigin] = field(default_factory=dict)
    has_future: bool = False

    @property
    def root(self) -> str:
        """The package that the file belongs to."""
        return self.name.partition(".")[0]

    def name_of(self, module: str, member: str) -> frozenset[str]:
        """The names under which the file knows a member of a module, with dots where it has the module."""
        names = {name for name, origin in self.imported.items() if origin == ImportOrigin(module, member)}
        whole = {f"{name}.{member}" for name, origin in self.imported.items() if origin == ImportOrigin(module)}
        return frozenset(names | whole)


def module_named(name: str) -> Module:
    """The module of that name, which is imported."""
    file = inspect.getsourcefile(importlib.import_module(name))
    assert file is not None  # Python's own and compiled modules are never copied
    return module_of(file, name)


@cache
def module_of(file: str, name: str) -> Module:
    """The module in a file."""
    source = Path(file).read_text(encoding="utf-8")
    tree = ast.parse(source)
    package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
    definitions: dict[str, TopStatement] = {}
    imported: dict[str, ImportOrigin] = {}
    has_future = False
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            has_future = True
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported |= dict(_imported(node, package))
        else:
            names = tuple(_bound(node))
            definitions |= dict.fromkeys(names, TopStatement(node, names))
    return Module(file, name, source, definitions, imported, has_future)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements at the top, with those under `if TYPE_CHECKING:`."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _statements(node.body)
        else:
            yield node


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, ImportOrigin]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, ImportOrigin(alias.name)
            else:
                yield alias.name.partition(".")[0], ImportOrigin(alias.name.partition(".")[0])
        return
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    module = ".".join([*above, *([node.module] if node.module else [])])
    for alias in node.names:
        yield alias.asname or alias.name, ImportOrigin(module, alias.name)


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement binds at the top of its file."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
        elif isinstance(inner, ast.FunctionDef | ast.ClassDef):
            yield inner.name
