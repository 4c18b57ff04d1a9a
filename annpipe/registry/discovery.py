"""Looking through modules for marked components; nothing is registered here, entries are only returned."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from annpipe.errors import AnnpipeError, Place, Problem
from annpipe.registry.entry import Entry, Json
from annpipe.registry.marks import Mark, mark_of
from annpipe.registry.signature import SignatureFault, definition, describe

HOOK = "annpipe_components"


class PluginFault(AnnpipeError):
    """A plugin cannot be used; `problem` names its file, line and remedy."""

    exit_code = 3

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(f"{problem.place}: {problem.message}" if problem.place else problem.message)


def discover_package(name: str) -> list[Entry]:
    """The components of an installed module or of every module of a package; imports them."""
    module = _import(name)
    entries = discover_module(module)
    for info in pkgutil.walk_packages(getattr(module, "__path__", []), prefix=f"{name}."):
        entries += discover_module(_import(info.name))
    return entries


def discover_file(path: Path) -> list[Entry]:
    """The components of one plugin file; imports it. Raises PluginFault for what the file does wrong."""
    module = import_file(path)
    return [replace(entry, target=f"{path}:{entry.target.partition(':')[2]}") for entry in discover_module(module)]


def discover_module(module: ModuleType) -> list[Entry]:
    """The marked components that `module` itself defines, and those its hook yields."""
    found = [_describe(component, mark) for component, mark in _marked(module)]
    hook: Callable[[], Iterable[Entry]] | None = vars(module).get(HOOK)
    return found + (list(hook()) if hook else [])


def _marked(module: ModuleType) -> Iterator[tuple[Any, Mark]]:
    for component in list(vars(module).values()):
        mark = mark_of(component)
        if mark and component.__module__ == module.__name__:
            yield component, mark


def _describe(component: Any, mark: Mark) -> Entry:
    traits: dict[str, Json] = {key: value for key, value in mark.traits.items() if not callable(value)}
    try:
        return describe(mark.kind, component, name=mark.name, traits=traits)
    except SignatureFault as fault:
        file, line = definition(component)
        place = _parameter_place(file, line, fault.parameter)
        message = f"the {mark.kind} '{mark.name or component.__name__}': {fault.message}"
        raise PluginFault(Problem("plugin-parameter", message, place, fault.remedy)) from fault


def _parameter_place(file: str, line: int, parameter: str) -> Place:
    """Where the parameter stands: the first line from the definition on that says its name after a `def`."""
    lines = Path(file).read_text(encoding="utf-8").splitlines() if file else []
    inside = False
    for number, text in enumerate(lines[line - 1 :], start=line):
        inside = inside or "def " in text
        column = text.find(parameter)
        while inside and column >= 0:
            before, after = text[column - 1 : column], text[column + len(parameter) :][:1]
            if not (before.isidentifier() or after.isidentifier() or after.isdigit()):
                return Place(file, number, column + 1, len(parameter))
            column = text.find(parameter, column + 1)
    return Place(file, line, 1)


def module_name(path: Path) -> str:
    """The name under which a plugin file is imported: its own stem, made unique by its place."""
    return f"annpipe_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def import_file(path: Path) -> ModuleType:
    """Imports a plugin file once; raises PluginFault with the line in the file that failed."""
    name = module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise import_fault(error, str(path)) from error
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a plugin may raise anything: its failure becomes a fault, never ours
        raise import_fault(error, "") from error


def import_fault(error: BaseException, file: str) -> PluginFault:
    """The fault for a plugin that raised while it was imported, at the line of `file` that led there."""
    if isinstance(error, SyntaxError) and error.filename:
        place = Place(error.filename, error.lineno or 1, error.offset or 1)
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == file] or frames
        last = own[-1]
        column = (last.colno or 0) + 1
        length = (last.end_colno or column) - column + 1 if last.end_lineno == last.lineno else 1
        place = Place(last.filename, last.lineno or 1, column, max(1, length))
    message = f"the plugin raised {type(error).__name__} on import: {error}"
    return PluginFault(Problem("plugin-import", message, place, "a plugin file must import cleanly: mend this line"))
