"""The files that a spec names beside its options: those of `data.split`, and its plugins, which are imported here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from annpipe.draft.sections import UNCHECKED
from annpipe.errors import Place, Problem
from annpipe.errors.suggest import nearest
from annpipe.files.limits import Stance, held_to
from annpipe.files.named import NamedFault, check_named, fault_of, problem_of, real_path
from annpipe.registry.discovery import PluginFault
from annpipe.registry.registry import Registry
from annpipe.registry.unmarked import is_imported_by, nothing_marked
from annpipe.spec.sections.spec import Spec


def file_faults(spec: Spec, stance: Stance | None) -> Iterator[Problem]:
    """What is wrong with the names of the files that `data.split` reads."""
    for part, file in spec.split.files.items():
        place = spec.place("data", "split", f"{part}_rows")
        try:
            with held_to(None if place.on_command_line else stance):
                check_named(file, bound="split file")
            if place.on_command_line and stance:
                stance.permitted.append(real_path(file))
        except NamedFault as fault:
            yield problem_of("wrong-value", fault, place)


def plugin_files(spec: Spec, project: Path) -> tuple[list[tuple[Path, str, Place]], list[Problem]]:
    """The plugin files that are there and allowed, each as the spec says it; nothing of them is read."""
    files: list[tuple[Path, str, Place]] = []
    problems: list[Problem] = []
    for text, place, folder in spec.plugin_places:
        allowed = _allowed(text, place, folder, project)
        if isinstance(allowed, Problem):
            problems.append(allowed)
        else:
            files.append((allowed, text, place))
    return files, problems


def add_plugins(files: Sequence[tuple[Path, str, Place]], registry: Registry) -> list[Problem]:
    """Imports plugin files into the registry, and gives what is wrong with them.

    A file that marks no component is wrong, unless another of them imports it.
    """
    problems = []
    for path, _, place in files:
        try:
            if not registry.add_file(path) and not is_imported_by(path, [other for other, _, _ in files]):
                raise PluginFault(nothing_marked(path))
        except PluginFault as fault:
            problems.append(replace(fault.problem, related=(*fault.problem.related, (place, "listed here"))))
    return problems


def not_imported(text: str, place: Place) -> Problem:
    """The warning of a plugin file that an untrusted spec lists."""
    message = f"the plugin '{text}' was not imported: the spec is untrusted"
    return Problem(UNCHECKED, message, place, "read the plugin, then check without --untrusted", severity="warning")


def _allowed(text: str, place: Place, folder: Path, project: Path) -> Path | Problem:
    """The plugin's real path: at or below the folder of the spec that lists it or the project's `plugins/`."""
    try:
        real = real_path(folder / text)
        is_file = real.is_file()
    except NamedFault as fault:
        return problem_of("plugin-not-found", fault, place)
    except OSError as error:
        return problem_of("plugin-not-found", fault_of(error, text), place)
    roots = dict.fromkeys([folder.resolve(), (project / "plugins").resolve()])
    if not any(real.is_relative_to(root) for root in roots):
        message = f"the plugin '{text}' lies outside the spec's folder and the project's plugins/"
        return Problem("plugin-outside", message, place, f"move it below {' or '.join(map(str, roots))}")
    if not is_file:
        return Problem("plugin-not-found", f"there is no plugin file '{text}'", place, _other_file(text, folder))
    return real


def _other_file(text: str, folder: Path) -> str:
    """What may be meant instead of a plugin file that is not there."""
    stem, suffix = Path(text).stem, Path(text).suffix
    stems = [path.stem for path in folder.glob("*.py")] if folder.is_dir() else []
    if near := nearest(stem, stems, 1):
        return f"did you mean './{near[0]}.py'?"
    if suffix not in ("", ".py") and "/" not in text:
        return "name a file, as in ./layers.py"
    return "paths are relative to the spec; name a file, as in ./layers.py"
