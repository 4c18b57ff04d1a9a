"""Finds the components that a person means: those of a file, a folder or a distribution, one by kind and name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from annpipe.errors import NotFound, Problem, SpecError
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.discovery import PluginFault, load
from annpipe.registry.entry import Entry, normal_name
from annpipe.registry.kinds import KINDS
from annpipe.registry.marks import mark_of
from annpipe.registry.plugin_sources import FOLDER, is_of_tests
from annpipe.registry.registry import Registry

Checkable = str | Path | Callable[..., Any]
"""A file, a folder, a distribution, `kind/name` or a name; or a marked class or function."""


def find_components(wanted: Checkable | None, registry: Registry, broken: list[Problem] | None = None) -> list[Entry]:
    """The entries of what is wanted, added to the registry where they are in files; importing these runs their code.

    None is the files in the folder `plugins` of the working directory. What is wrong with a plugin file is added to
    `broken`, and the others go on; without that list it is a SpecError. Raises NotFound where there is no such thing.
    """
    if wanted is None:
        if not Path(FOLDER).is_dir():
            raise NotFound(
                f"there is no folder '{FOLDER}' here: say what to check, a FILE, a DISTRIBUTION or KIND/NAME"
            )
        wanted = FOLDER
    if not isinstance(wanted, str | Path):
        return [_of_object(wanted, registry)]
    path, name = Path(wanted), str(wanted)
    if path.suffix == ".py":
        return _of_files(path, registry, broken)
    if entries := list(_named(name, registry)):  # before a folder of that name, whose files would all be imported
        return entries
    if path.is_dir():
        return _of_files(path, registry, broken)
    raise NotFound(_nothing(name, registry))


def _of_object(component: Callable[..., Any], registry: Registry) -> Entry:
    mark = mark_of(component)
    if mark is None:
        raise NotFound(f"{component!r} carries no mark, as `@layer`: annpipe cannot know which kind it is")
    known = registry.find(mark.kind, mark.name or component.__name__)
    try:
        return known if known is not None and load(known) is component else registry.add(component)
    except PluginFault as fault:
        raise SpecError([fault.problem]) from fault


def _of_files(path: Path, registry: Registry, broken: list[Problem] | None) -> list[Entry]:
    """The components of a file, or of the files of a folder but tests and those whose name begins with `_`."""
    if not path.exists():
        raise NotFound(f"there is no plugin file '{path}'")
    files = [file for file in sorted(path.rglob("[!._]*.py")) if not is_of_tests(file)] if path.is_dir() else [path]
    entries: list[Entry] = []
    problems: list[Problem] = []
    for file in files:
        try:
            entries += registry.add_file(file)
        except PluginFault as fault:
            problems.append(fault.problem)
    if problems and broken is None:
        raise SpecError(problems)
    if broken is not None:
        broken += problems
    if not entries and not problems:
        raise NotFound(f"'{path}' marks no component: write a mark, as `@layer`, above a class or function")
    return entries


def _named(name: str, registry: Registry) -> Iterator[Entry]:
    """One component by kind and name, those of a name, or those of a distribution."""
    kind, slash, own_name = name.partition("/")
    if slash:
        if kind in KINDS and (entry := registry.find(kind, own_name)) is not None:
            yield entry
        return
    everything = [entry for kind in KINDS for entry in registry.entries(kind)]
    same = [entry for entry in everything if normal_name(entry.origin.distribution) == normal_name(name)]
    yield from same or [registry.entry(kind, name) for kind in registry.kinds_of(name)]


def _nothing(name: str, registry: Registry) -> str:
    kind, slash, own_name = name.partition("/")
    if slash and kind not in KINDS:
        return f"there is no kind '{kind}': {did_you_mean(kind, KINDS) or 'the kinds are ' + ', '.join(KINDS)}"
    kinds = [kind] if slash else list(KINDS)
    entries = [entry for kind in kinds for entry in registry.entries(kind)]
    names = {entry.name for entry in entries} | {entry.origin.distribution for entry in entries if not slash}
    hint = did_you_mean(own_name if slash else name, sorted(names - {""}))
    what = f"there is no {kind} '{own_name}'" if slash else f"there is no file, distribution or component '{name}'"
    return f"{what}{f': {hint}' if hint else ''}; `annpipe list` shows all components"
