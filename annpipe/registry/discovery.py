"""Imports plugins and what entries name, and finds the marked components of modules; nothing is registered here."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from annpipe.errors import AnnpipeError, Place, Problem
from annpipe.registry.entry import Entry, Json
from annpipe.registry.marks import Mark, mark_of
from annpipe.registry.place import defined_at, name_place, parameter_place
from annpipe.registry.signature import SignatureFault, definition, describe
from annpipe.registry.traits import TraitFault

HOOK = "annpipe_components"


class PluginFault(AnnpipeError):
    """A plugin cannot be used; `problem` names its file, line and remedy, `sources` are the files of the plugin."""

    exit_code = 3

    def __init__(self, problem: Problem, sources: Sequence[Path] = ()) -> None:
        self.problem, self.sources = problem, tuple(sources)
        super().__init__(f"{problem.place}: {problem.message}" if problem.place else problem.message)


def discover_package(name: str) -> list[Entry]:
    """The components of an installed module or of every module of a package; imports them. Raises PluginFault."""
    module = import_installed(name)
    entries = discover_module(module)
    for info in pkgutil.walk_packages(getattr(module, "__path__", []), prefix=f"{name}."):
        if not info.name.endswith(".__main__"):
            entries += discover_module(import_installed(info.name))
    return entries


def discover_file(path: Path) -> list[Entry]:
    """The components of one plugin file; imports it. Raises PluginFault for what the file does wrong."""
    module = import_file(path)
    start = f"{module.__name__}:"
    return [
        replace(entry, target=f"{path}:{entry.target.removeprefix(start)}") if entry.target.startswith(start) else entry
        for entry in discover_module(module)
    ]


def discover_module(module: ModuleType) -> list[Entry]:
    """The marked components that `module` itself defines, and those its hook yields."""
    entries = [describe_marked(component, mark) for component, mark in _marked(module)]
    hook: Callable[[], Iterable[Entry]] | None = vars(module).get(HOOK)
    return entries + (_hooked(hook) if hook else [])


def _marked(module: ModuleType) -> Iterator[tuple[Any, Mark]]:
    listed = set()
    for component in list(vars(module).values()):
        mark = mark_of(component)
        if mark and component.__module__ == module.__name__ and id(component) not in listed:
            listed.add(id(component))
            yield component, mark


def may_define(fault: PluginFault, name: str) -> bool:
    """Whether the sources of a plugin that cannot be used define a name."""
    return any(defined_at(file, name) for file in fault.sources)


def describe_marked(component: Any, mark: Mark) -> Entry:
    """The entry of a marked component; raises PluginFault at the parameter that cannot be an option."""
    traits: dict[str, Json] = {key: True if callable(value) else value for key, value in mark.traits.items()}
    traits |= {key: f"{value.__module__}:{value.__qualname__}" for key, value in _apart(component, mark)}
    try:
        return describe(mark.kind, component, name=mark.name, traits=traits)
    except SignatureFault as fault:
        place = parameter_place(*definition(component), fault.parameter)
        message = f"the {mark.kind} '{mark.name or component.__name__}': {fault.message}"
        raise PluginFault(Problem("plugin-parameter", message, place, fault.remedy)) from fault
    except TraitFault as fault:
        message = f"the {mark.kind} '{mark.name or component.__name__}': {fault}"
        raise PluginFault(
            Problem("plugin-import", message, name_place(*definition(component)), "change its mark")
        ) from fault


def _apart(component: Any, mark: Mark) -> Iterator[tuple[str, Any]]:
    """The functions of a mark that stand in another module than the component, so that they import without it."""
    for key, value in mark.traits.items():
        if inspect.isfunction(value) and value.__module__ != component.__module__:
            yield key, value


def _hooked(hook: Callable[[], Iterable[Entry]]) -> list[Entry]:
    try:
        return list(hook())
    except SignatureFault as fault:
        problem = Problem("plugin-parameter", fault.message, name_place(*definition(hook)), fault.remedy)
        raise PluginFault(problem) from fault
    except Exception as error:  # a plugin may raise anything: its failure becomes a fault, never ours
        raise import_fault(error, definition(hook)[0], f"in {HOOK}()") from error


def module_name(path: Path, source: bytes) -> str:
    """The name under which a plugin file is imported: its own stem, made unique by its place and content."""
    return f"annpipe_plugin_{path.stem}_{hashlib.sha256(str(path).encode() + b'|' + source).hexdigest()[:8]}"


class _SourceOnly(SourceFileLoader):
    """Reads no bytecode, which may be stale after a quick edit, and leaves none beside the user's file."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def import_file(path: Path) -> ModuleType:
    """Imports a plugin file once for each content; raises PluginFault with the line in the file that failed."""
    name = module_name(path, path.read_bytes())
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceOnly(name, str(path)))
    assert spec, path
    assert spec.loader, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        del sys.modules[name]
        raise
    except BaseException as error:  # SystemExit too: a plugin cannot end the command
        del sys.modules[name]
        raise import_fault(error, str(path)) from error
    return module


def import_installed(name: str) -> ModuleType:
    """Imports a module of an installed plugin; raises PluginFault with the line in it that failed."""
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a plugin cannot end the command
        spec = importlib.util.find_spec(name.partition(".")[0])
        folder = str(Path(spec.origin).parent) if spec and spec.origin else ""
        raise import_fault(error, folder) from error


def import_fault(error: BaseException, source: str, when: str = "on import") -> PluginFault:
    """The fault for a plugin that raised, at the last line below `own` (a file or folder) that led there."""
    message = f"the plugin raised {type(error).__name__} {when}: {error}"
    help_ = "a plugin file must import cleanly: correct this line"
    if isinstance(error, SyntaxError) and error.filename:
        place = Place(error.filename, error.lineno or 1, error.offset or 1)
        return PluginFault(Problem("plugin-import", message, place, help_))
    frames = traceback.extract_tb(error.__traceback__)
    last = ([frame for frame in frames if source and frame.filename.startswith(source)] or frames)[-1]
    column = (last.colno or 0) + 1
    length = (last.end_colno or column) - column + 1 if last.end_lineno == last.lineno else 1
    place = Place(last.filename, last.lineno or 1, column, max(1, length))
    return PluginFault(Problem("plugin-import", message, place, help_))


def load(entry: Entry) -> Callable[..., Any]:
    """The component itself; raises PluginFault when its file fails to import."""
    return imported(entry.target) if entry.loaded is None else entry.loaded


def function_of(entry: Entry, trait: str) -> Callable[..., Any] | None:
    """The function that a trait names: by its own module where it stands apart, else the one in the component's mark.

    None where the component has no such function; raises PluginFault when its file fails to import.
    """
    named = getattr(entry.traits, trait)
    if isinstance(named, str):
        return imported(named)
    mark = mark_of(load(entry)) if named else None
    function: Callable[..., Any] | None = mark.traits[trait] if mark else None
    return function


def imported(target: str) -> Callable[..., Any]:
    """What `module:attribute` or `file.py:attribute` names; raises PluginFault when it fails to import."""
    where, _, attribute = target.rpartition(":")
    value: Any = import_file(Path(where)) if where.endswith(".py") else import_installed(where)
    for part in attribute.split("."):
        value = getattr(value, part)
    component: Callable[..., Any] = value
    return component
