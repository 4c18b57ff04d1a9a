"""Why a component's name is there or missing: who defines it, what stands in its way, and where it may come from."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from annpipe.errors import Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.registry.discovery import may_define
from annpipe.registry.entry import installed_version
from annpipe.registry.index import earlier_distributions, package_sources
from annpipe.registry.kinds import KINDS, with_article
from annpipe.registry.other_tools.words import component_word
from annpipe.registry.place import defined_at, marked_in
from annpipe.registry.plugin_sources import NamedComponent, PluginSource, plugin_sources, project_files, seen_from_here
from annpipe.registry.registry import GROUP

MOST_PROJECTS = 100  # folders below the project that are looked at for a pyproject.toml


@dataclass(frozen=True)
class Reason:
    """One thing that is known of a name; `problem` is an error with its place, where there is one."""

    text: str
    problem: Problem | None = None


@dataclass(frozen=True)
class NameOrigin:
    """Whether a spec may use the name as it is, and why."""

    is_there: bool
    reasons: tuple[Reason, ...]


def why(name: str, kind: str | None, project: Path, files: Sequence[Path] = ()) -> NameOrigin:
    """What is known of the name of a component, of one kind or of any; imports `files` and no file of the project."""
    sources = plugin_sources(project, files)
    defining = [
        (source, component)
        for source in sources
        for component in source.components
        if component.name == name and kind in (None, component.kind)
    ]
    is_there = any(not component.shadows for _, component in defining)
    reasons = [_defined(source, component) for source, component in defining]
    reasons += _unmarked(name, project)
    faults = [source for source in sources if source.fault]
    broken = [source for source in faults if source.fault and may_define(source.fault, name)]
    reasons += [_broken(source, f"'{name}' is defined by") for source in broken]
    if not reasons:
        names = {component.name for source in sources for component in source.components}  # of other kinds, too
        reasons += [*_not_installed(name, project), *(() if name in names else _had(name))]
    if not reasons:
        reasons += [_broken(source, f"'{name}' may come from") for source in faults]
        reasons += _near(name, kind, sources)
    return NameOrigin(is_there, tuple(reasons))


def _defined(source: PluginSource, component: NamedComponent) -> Reason:
    what = f"the {component.kind} '{component.name}'"
    if source.is_read_only and component.shadows:
        text = f"{what} of this project, defined at {component.where}, cannot be used: {component.shadows} has its name"
        return Reason(f'{text}; give it another, as in `@{component.kind}(name="my_{component.name.lower()}")`')
    if source.is_read_only:
        listing = f"`plugins: [{seen_from_here(component.file)}]`"
        return Reason(f"{what} is there in specs that list its file, {listing}; it is defined at {component.where}")
    whose = str(component.origin) if component.origin.distribution else seen_from_here(str(component.origin))
    lists = f", listed by {source.origin}" if component.origin != source.origin else ""
    built_in = " (built-in)" if source.is_built_in else ""
    return Reason(f"{what} comes from {whose}{lists}{built_in}; it is defined at {component.where}")


def _unmarked(name: str, project: Path) -> Iterator[Reason]:
    """Classes and functions of the name in files of the project, without a mark or marked with another name."""
    for file in project_files(project):
        marks = marked_in(file)
        place = defined_at(file, name)
        if place is None or any(mark.name == name for mark in marks):
            continue
        where = f"{seen_from_here(place.file)}:{place.line}"
        if other := next((mark for mark in marks if mark.place.line == place.line), None):
            yield Reason(f"'{name}' at {where} is called '{other.name}' in specs: its mark says so")
        else:
            kinds = ", ".join(f"@{kind}" for kind in KINDS)
            yield Reason(f"{where} defines '{name}' without a mark; write that of its kind above it, one of {kinds}")


def _broken(source: PluginSource, words: str) -> Reason:
    assert source.fault
    return Reason(f"{words} {source.origin}, which cannot be used:", source.fault.problem)


def _not_installed(name: str, project: Path) -> Iterator[Reason]:
    """Sources of distributions in the project that define the name and are not installed, or in another version."""
    for folder in [project, *sorted(path for path in project.glob("*/") if path.is_dir())[:MOST_PROJECTS]]:
        distribution, modules = _plugin_project(folder / "pyproject.toml")
        for module in modules:
            homes = [home / part for home in (folder, folder / "src") for part in (module, f"{module}.py")]
            files = [file for home in homes if home.exists() for file in package_sources(home)]
            place = next((place for file in files if (place := defined_at(file, name))), None)
            if place is None:
                continue
            version = installed_version(distribution)
            state = f"of which {version} without it is installed" if version else "which is not installed"
            where = f"{seen_from_here(place.file)}:{place.line}"
            install = f"`python -m pip install -e {seen_from_here(str(folder))}`"
            yield Reason(f"'{name}' is defined at {where} by {distribution}, {state}: {install}")


def _plugin_project(file: Path) -> tuple[str, list[str]]:
    """The name of a distribution from its pyproject.toml, and the modules of its entry points; none of another file."""
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        points = project["entry-points"][GROUP].values()
        return str(project["name"]), [str(point).partition(":")[0].partition(".")[0] for point in points]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", []


def _had(name: str) -> Iterator[Reason]:
    """Distributions that were used before and had the name."""
    for distribution, kind in earlier_distributions(name).items():
        version = installed_version(distribution)
        text = f"{distribution} had the {kind} '{name}' when it was last used"
        if version:
            yield Reason(f"{text}; the installed version {version} does not define it")
        else:
            yield Reason(f"{text}, and is not installed here: `python -m pip install {distribution}`")


def _near(name: str, kind: str | None, sources: Sequence[PluginSource]) -> Iterator[Reason]:
    """Words of other tools, and names like it."""
    known = {(component.kind, component.name) for source in sources for component in source.components}
    kinds = [kind] if kind else list(KINDS)
    if others := [with_article(of_kind) for of_kind, other in sorted(known) if other == name]:
        yield Reason(f"there is no {kind} '{name}': it is {' and '.join(others)}")
        return
    for of_kind in kinds:
        names = {other for other_kind, other in known if other_kind == of_kind}
        if word := component_word(of_kind, name, names.__contains__):
            yield Reason(f"there is no {of_kind} '{name}': {word}")
            return
    hint = did_you_mean(name, [other for of_kind, other in sorted(known) if of_kind in kinds])
    listing = f"`annpipe list{f' {kind}' if kind else ''}` shows all"
    yield Reason(f"no plugin defines a {kind or 'component'} '{name}': {f'{hint} ' if hint else ''}{listing}")
