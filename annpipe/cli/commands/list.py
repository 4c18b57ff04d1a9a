"""`annpipe list`: which components are there?"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words
from annpipe.errors import NotFound, SpecError
from annpipe.errors.render import render

if TYPE_CHECKING:
    from annpipe.registry import Entry, Registry

PLUGIN_OPTION = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    shell_complete=words.plugin_files,
    help="Add the components of a Python file, as a spec's `plugins:` does; may be repeated.",
)


@click.command("list")
@click.argument("kind", required=False, shell_complete=words.kinds)
@PLUGIN_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
def command(kind: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List the components of the registry, of one KIND or of all."""
    from annpipe.registry import KINDS

    kinds = list(KINDS) if kind is None else [known_kind(kind)]
    registry = open_registry(plugins)
    if as_json:
        rows = [_row(entry) for name in kinds for entry in registry.entries(name)]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_section(name, registry.entries(name)) for name in kinds))


def open_registry(plugins: tuple[Path, ...]) -> Registry:
    """All installed components and those of `plugins`; what is wrong with installed ones is a warning on stderr."""
    from annpipe.registry import Registry
    from annpipe.registry.discovery import PluginFault

    registry = Registry.installed()
    for fault in registry.faults:
        click.echo(render(replace(fault.problem, severity="warning")) + "\n", err=True)
    for path in plugins:
        if not path.is_file():
            raise NotFound(f"there is no plugin file '{path}'")
        try:
            registry.add_file(path)
        except PluginFault as fault:
            raise SpecError([fault.problem]) from fault
    return registry


def known_kind(kind: str) -> str:
    """The kind itself; raises NotFound with the nearest when there is none of that name."""
    from annpipe.errors.suggest import did_you_mean
    from annpipe.registry import KINDS

    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"the kinds are {', '.join(KINDS)}"
        raise NotFound(f"there is no kind '{kind}': {hint}")
    return kind


def _row(entry: Entry) -> dict[str, str]:
    return {"kind": entry.kind, "name": entry.name, "summary": entry.summary, "origin": str(entry.origin)}


def _section(kind: str, entries: list[Entry]) -> str:
    from annpipe.registry import KINDS

    width = max((len(entry.name) for entry in entries), default=0)
    rows = [_fitted(f"  {entry.name:<{width}}  {entry.summary}".rstrip()) for entry in entries]
    return "\n".join([_fitted(f"{kind} ({len(entries)}): {KINDS[kind].gives}"), *rows])


def _fitted(line: str) -> str:
    """The line cut to the terminal; whole where no terminal shows it."""
    columns = shutil.get_terminal_size().columns
    return line if len(line) <= columns or not sys.stdout.isatty() else line[: columns - 1] + "…"
