"""A plugin file that marks no component: what in it is like one, and the mark to write above it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from annpipe.errors import Place, Problem
from annpipe.registry.discovery import import_file
from annpipe.registry.kinds import KINDS
from annpipe.registry.place import name_place
from annpipe.registry.signature import definition


def nothing_marked(file: Path) -> Problem:
    """The fault of a file without a component: at what is like one, with the mark that it lacks."""
    module = import_file(file)
    defined = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    like = [(value, kind) for value in defined for kind in _kinds_of(value)]
    message = f"the plugin {file.name} marks no component"
    if not like:
        help_ = "mark what a spec names, as in `@layer` above a class; a file of helpers is not listed in `plugins`"
        return Problem("plugin-unmarked", message, Place(str(file), 1, 1), help_)
    (first, kind), *others = like
    related = tuple(
        (place, f"`@{other}` here") for value, other in others[:3] if (place := name_place(*definition(value)))
    )
    help_ = f"write `@{kind}` above `{first.__name__}`, and `from annpipe import {kind}`"
    return Problem("plugin-unmarked", message, name_place(*definition(first)) or Place(str(file), 1, 1), help_, related)


def is_imported_by(file: Path, others: Iterable[Path]) -> bool:
    """Whether one of some other plugin files imports this one, by its name."""
    return any(file.stem in _imports(other) for other in others if other != file)


def _imports(file: Path) -> set[str]:
    """The last parts of the names of the modules that a file imports."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8-sig"))
    except (OSError, SyntaxError, ValueError):
        return set()
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module or "", *(alias.name for alias in node.names)]
    return {name.rpartition(".")[2] for name in names}


def _kinds_of(value: Any) -> Iterator[str]:
    """The kind of component that a class or function is like; nothing for any other."""
    name = getattr(value, "__name__", "_")
    if name.startswith("_"):
        return
    if isinstance(value, type):
        yield from _kinds_of_class(value)
    elif inspect.isfunction(value):
        returned = str(value.__annotations__.get("return", ""))
        kind = next((kind.name for kind in KINDS.values() if any(word in returned for word in kind.returned)), None)
        if kind is not None or "tensor" in inspect.signature(value).parameters:
            yield kind or "initializer"


def _kinds_of_class(value: type) -> Iterator[str]:
    bases = {base.__name__ for base in value.__mro__ if base.__module__.startswith("torch.")}
    kind = next((kind.name for kind in KINDS.values() if kind.base in bases), None)
    if kind is None and "Module" in bases:
        forward = inspect.signature(vars(value).get("forward", lambda self, x: x))
        kind = "transform" if "fit" in vars(value) else "loss" if len(forward.parameters) > 2 else "layer"
    by_methods = (
        kind.name
        for kind in KINDS.values()
        if kind.methods and all(callable(vars(value).get(name)) for name in kind.methods)
    )
    kind = kind or next(by_methods, None)
    if kind is not None:
        yield kind
