"""`annpipe list`: lists the components of the registry."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words
from annpipe.cli.options import known_kind, open_registry, plugin_option

if TYPE_CHECKING:
    from annpipe.registry.entry import Entry


@click.command("list")
@click.argument("kind", required=False, shell_complete=words.kinds)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
def command(kind: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """List the components of the registry, of one KIND or of all."""
    from annpipe.registry.kinds import KINDS

    kinds = list(KINDS) if kind is None else [known_kind(kind)]
    registry = open_registry(plugins)
    if as_json:
        rows = [_row(entry) for name in kinds for entry in registry.entries(name)]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_section(name, registry.entries(name)) for name in kinds))


def _row(entry: Entry) -> dict[str, str]:
    return {"kind": entry.kind, "name": entry.name, "summary": entry.summary, "origin": str(entry.origin)}


def _section(kind: str, entries: list[Entry]) -> str:
    from annpipe.registry.kinds import KINDS

    width = max((len(entry.name) for entry in entries), default=0)
    rows = [_fitted(f"  {entry.name:<{width}}  {entry.summary}".rstrip()) for entry in entries]
    return "\n".join([_fitted(f"{kind} ({len(entries)}): {KINDS[kind].gives}"), *rows])


def _fitted(line: str) -> str:
    """The line cut to the terminal; whole where no terminal shows it."""
    columns = shutil.get_terminal_size().columns
    return line if len(line) <= columns or not sys.stdout.isatty() else line[: columns - 1] + "…"
