"""`annpipe plugins list`: lists where components come from, and what is wrong with plugins that cannot be used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli.options import plugin_option

if TYPE_CHECKING:
    from annpipe.registry.plugin_sources import NamedComponent, PluginSource


@click.command("list")
@click.option("--all", "show_all", is_flag=True, help="Name the built-in components, too, instead of counting them.")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def command(show_all: bool, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List where components come from: built-in, a distribution with its version, or a file of this project.

    A name that another component has already is marked, and a plugin that cannot be used shown with its error. Files of
    the project are read, not imported; --plugin imports one.
    """
    from annpipe.record.journal.project import find_project
    from annpipe.registry.plugin_sources import plugin_sources

    sources = plugin_sources(find_project(), plugins)
    if as_json:
        click.echo(json.dumps(_as_json(sources), indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join("\n".join(_section(source, show_all=show_all)) for source in sources))


def _as_json(sources: Sequence[PluginSource]) -> dict[str, Any]:
    from annpipe.cli.problems import as_data

    components = [
        {
            "kind": component.kind,
            "name": component.name,
            "from": "built-in" if source.is_built_in else "file" if source.origin.file else "distribution",
            "distribution": component.origin.distribution,
            "version": component.origin.version,
            "file": component.file,
            "line": component.line,
            "shadows": component.shadows or None,
        }
        for source in sources
        for component in source.components
    ]
    faults = [{"from": str(source.origin), **as_data(source.fault.problem)} for source in sources if source.fault]
    return {"components": components, "faults": faults}


def _section(source: PluginSource, *, show_all: bool) -> Iterator[str]:
    from annpipe.errors.render import render

    if source.fault:
        yield f"{_name(source)}: cannot be used"
        yield "  " + render(source.fault.problem).replace("\n", "\n  ")
        return
    if source.is_built_in and not show_all:
        counts = Counter(component.kind for component in source.components)
        yield f"{_name(source)}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}"
        yield "  `annpipe list` shows them; --all names them here"
        return
    use = f"; a spec lists it: `plugins: [{_name(source)}]`" if source.is_read_only else ""
    yield f"{_name(source)}{use if source.components else ': marks no component'}"
    yield from _rows(source.components)


def _name(source: PluginSource) -> str:
    from annpipe.registry.plugin_sources import seen_from_here

    if source.origin.file:
        return seen_from_here(source.origin.file)
    return f"{source.origin}, built-in" if source.is_built_in else str(source.origin)


def _rows(components: Sequence[NamedComponent]) -> Iterator[str]:
    kinds = max((len(component.kind) for component in components), default=0)
    names = max((len(component.name) for component in components), default=0)
    for component in components:
        yield f"  {component.kind:<{kinds}}  {component.name:<{names}}  {component.where}"
        if component.shadows:
            yield f"    the name is taken: {component.shadows} has it; give this one another"
