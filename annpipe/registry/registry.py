"""The registry: every component by kind and name, filled in three ways and passed as an argument.

registry = Registry.installed()          # door 1: distributions with an entry point in group annpipe.plugins
registry.add_file(Path("swish.py"))      # door 2: the files that a spec lists
registry.add(Swish)                      # door 3: Python
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from annpipe.errors import Problem
from annpipe.registry.discovery import (
    PluginFault,
    describe_marked,
    discover_file,
    discover_package,
    load,
)
from annpipe.registry.entry import Entry, Origin
from annpipe.registry.index import SHIPPED, cached_entries, package_sources
from annpipe.registry.kinds import KINDS
from annpipe.registry.marks import Mark, mark_of
from annpipe.registry.place import name_place
from annpipe.registry.renames import rename_of

GROUP = "annpipe.plugins"


class Registry:
    """Components by kind and name. `faults` holds what is wrong with installed plugins that could not be used."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
        self.faults: list[PluginFault] = []

    @classmethod
    def installed(cls) -> Registry:
        """A registry of all installed plugins; a broken one is noted in `faults` and breaks nothing else."""
        registry = cls()
        for point in sorted(importlib.metadata.entry_points(group=GROUP), key=std_first):
            try:
                registry._add_all(installed_entries(point))
            except PluginFault as fault:
                registry.faults.append(PluginFault(fault.problem, sources_of(point)))
        return registry

    def add_file(self, path: Path) -> list[Entry]:
        """Adds the components of a plugin file; raises PluginFault."""
        path = path.resolve()
        origin = Origin(file=str(path))
        try:
            entries = cached_entries([path], origin, lambda: discover_file(path), root=path.parent)
        except OSError as error:
            message = f"the plugin file {path} cannot be read: {error.strerror}"
            raise PluginFault(Problem("plugin-import", message, None, "name a Python file that can be read")) from error
        self._add_all(entries)
        return entries

    def add(self, component: Callable[..., Any], *, kind: str | None = None, name: str | None = None) -> Entry:
        """Adds a marked component, or any callable whose `kind` is given; raises PluginFault."""
        mark = mark_of(component)
        own_kind = kind or (mark.kind if mark else None)
        if own_kind not in KINDS:
            raise ValueError(f"{component!r} carries no mark: give its kind, one of {', '.join(KINDS)}")
        entry = describe_marked(
            component, Mark(own_kind, name or (mark.name if mark else None), mark.traits if mark else {})
        )
        entry = replace(entry, origin=Origin(file=entry.file or "Python"), loaded=component)
        self._add_all([entry])
        return entry

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Adds entries as they are; raises PluginFault where a name is taken."""
        self._add_all(entries)

    def _add_all(self, entries: Iterable[Entry]) -> None:
        """All entries of a plugin or, where one name is taken, none; the very same entry may come twice."""
        new: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            taken = self._entries[entry.kind].get(entry.name) or new.get((entry.kind, entry.name))
            if taken and taken != entry:
                raise _name_taken(entry, taken)
            new[entry.kind, entry.name] = entry
        for entry in new.values():
            self._entries[entry.kind][entry.name] = entry

    def copy(self) -> Registry:
        """A registry of its own with the same components, so that one spec's plugins are not another's."""
        other = Registry()
        other._entries = {kind: dict(entries) for kind, entries in self._entries.items()}
        other.faults = list(self.faults)
        return other

    def find(self, kind: str, name: str) -> Entry | None:
        """The entry of a component, by an earlier name of its, too; None when there is none."""
        entry = self._entries[kind].get(name)
        if entry is None and (rename := rename_of(kind, "", name)):
            return self._entries[kind].get(rename.new)
        return entry

    def entry(self, kind: str, name: str) -> Entry:
        """The entry of a component that is there; raises KeyError for another."""
        return self._entries[kind][name]

    def entries(self, kind: str) -> list[Entry]:
        """All components of a kind, by name."""
        return [self._entries[kind][name] for name in sorted(self._entries[kind], key=str.casefold)]

    def kinds_of(self, name: str) -> list[str]:
        """The kinds that have a component of this name."""
        return [kind for kind, entries in self._entries.items() if name in entries]

    def load(self, entry: Entry) -> Callable[..., Any]:
        """Imports the component itself; raises PluginFault when its file fails to import."""
        return load(entry)


def std_first(point: importlib.metadata.EntryPoint) -> tuple[bool, str]:
    """The built-in library comes first, so that a plugin which takes one of its names is the one at fault."""
    return (point.dist is None or point.dist.name != "annpipe", point.value)


def installed_entries(point: importlib.metadata.EntryPoint) -> list[Entry]:
    """The components that an entry point leads to; imports them where no index knows them. Raises PluginFault."""
    name, origin = point.value.partition(":")[0], origin_of(point)
    spec = importlib.util.find_spec(name.partition(".")[0])
    if spec is None or not spec.origin:
        place = f"entry point '{point.name} = {point.value}' of {origin}"
        raise PluginFault(Problem("plugin-import", f"{place}: there is no module '{name}'"))
    folder = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
    shipped = folder / SHIPPED if folder.is_dir() else None
    sources = package_sources(folder)
    return cached_entries(sources, origin, lambda: discover_package(name), root=folder.parent, shipped=shipped)


def origin_of(point: importlib.metadata.EntryPoint) -> Origin:
    """The distribution of an entry point with its version; its module where it belongs to none."""
    distribution = point.dist
    return Origin(distribution.name, distribution.version) if distribution else Origin(point.value.partition(":")[0])


def sources_of(point: importlib.metadata.EntryPoint) -> list[Path]:
    """The files of an installed plugin; none where it is not there."""
    spec = importlib.util.find_spec(point.value.partition(":")[0].partition(".")[0])
    if spec is None or not spec.origin:
        return []
    return package_sources(Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin))


def _name_taken(entry: Entry, taken: Entry) -> PluginFault:
    message = f"the {entry.kind} '{entry.name}' exists already: it comes from {taken.origin} ({taken.where})"
    place = name_place(entry.file, entry.line)
    help_ = f'give yours another name, as in `@{entry.kind}(name="my_{entry.name.lower()}")`'
    return PluginFault(Problem("plugin-name-taken", message, place, help_))
