"""Where components come from: the built-in library, installed distributions, and files of a project."""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from annpipe.registry.discovery import PluginFault, import_fault
from annpipe.registry.entry import Entry, Origin
from annpipe.registry.place import marked_in
from annpipe.registry.registry import GROUP, Registry, installed_entries, origin_of, sources_of, std_first

BUILT_IN = "annpipe"  # the distribution of the built-in library
FOLDER = "plugins"  # of a project, in which its own plugin files are looked for


@dataclass(frozen=True)
class NamedComponent:
    """A component and where it is defined: as `file:line`, or as `module:name` where its source is not at hand.

    `origin` is the distribution or file that it is defined by, which another one may list. `shadows` says where
    another component of its name comes from: annpipe refuses the second of a name.
    """

    kind: str
    name: str
    origin: Origin
    file: str
    line: int
    target: str = ""
    shadows: str = ""

    @property
    def where(self) -> str:
        """The definition."""
        return f"{seen_from_here(self.file)}:{self.line}" if self.file else self.target


@dataclass(frozen=True)
class PluginSource:
    """A distribution or a file with its components; `fault` is why it cannot be used, and then it has none.

    Of a file of the project (`is_read_only`) the source was read and nothing imported.
    """

    origin: Origin
    components: tuple[NamedComponent, ...] = ()
    fault: PluginFault | None = None
    is_read_only: bool = False

    @property
    def is_built_in(self) -> bool:
        """Whether it belongs to annpipe itself."""
        return self.origin.distribution == BUILT_IN


def plugin_sources(project: Path, files: Sequence[Path] = ()) -> list[PluginSource]:
    """All installed plugins, the built-in library first, then `files`, which are imported, and those of the project.

    Only the text of the project's files is read: looking at a folder runs nothing in it.
    """
    registry = Registry()
    sources = [
        _installed(point, registry) for point in sorted(importlib.metadata.entry_points(group=GROUP), key=std_first)
    ]
    sources += [_imported(file, registry) for file in files]
    known = {file.resolve() for file in files}
    return [*sources, *_of_project([file for file in project_files(project) if file not in known], registry)]


def project_files(project: Path) -> list[Path]:
    """The plugin files of a project, tests beside them aside."""
    files = sorted((project / FOLDER).glob("*.py"))
    return [file.resolve() for file in files if not file.name.startswith("_") and not is_of_tests(file)]


def is_of_tests(file: Path) -> bool:
    """Whether pytest, and no spec, reads a file: it may stand beside a plugin."""
    return file.name.startswith("test_") or file.name == "conftest.py"


def _installed(point: importlib.metadata.EntryPoint, registry: Registry) -> PluginSource:
    try:
        entries = installed_entries(point)
        registry.add_entries(entries)
    except PluginFault as fault:
        return PluginSource(origin_of(point), fault=PluginFault(fault.problem, sources_of(point)))
    return PluginSource(origin_of(point), _named(entries))


def _imported(file: Path, registry: Registry) -> PluginSource:
    try:
        return PluginSource(Origin(file=str(file)), _named(registry.add_file(file)))
    except PluginFault as fault:
        return PluginSource(Origin(file=str(file)), fault=PluginFault(fault.problem, [file]))


def _named(entries: Iterable[Entry]) -> tuple[NamedComponent, ...]:
    return tuple(
        NamedComponent(entry.kind, entry.name, entry.origin, entry.file, entry.line, entry.target) for entry in entries
    )


def _of_project(files: Iterable[Path], registry: Registry) -> Iterator[PluginSource]:
    taken: dict[tuple[str, str], str] = {}
    for file in files:
        origin, components = Origin(file=str(file)), []
        marks = marked_in(file)
        if not marks and (fault := _no_python(file)):
            yield PluginSource(origin, fault=fault, is_read_only=True)
            continue
        for marked in marks:
            key = (marked.kind, marked.name)
            entry = registry.find(*key)
            shadows = f"{entry.origin} ({entry.where})" if entry else taken.get(key, "")
            components.append(NamedComponent(*key, origin, str(file), marked.place.line, shadows=shadows))
        taken |= {(component.kind, component.name): component.where for component in components}
        yield PluginSource(origin, tuple(components), is_read_only=True)


def _no_python(file: Path) -> PluginFault | None:
    """What keeps a file from being read as Python."""
    try:
        ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError) as error:
        return PluginFault(import_fault(error, str(file)).problem, [file])
    return None


def seen_from_here(file: str) -> str:
    """A path from the working directory, where it is below that."""
    path, here = Path(file), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)
