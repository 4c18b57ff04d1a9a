"""`annpipe new component KIND NAME`: adds a component that works, and its test, to the project's `plugins/`."""

from __future__ import annotations

import os

import click

from annpipe.cli.completion import words
from annpipe.cli.options import known_kind, open_registry


@click.command("component")
@click.argument("kind", shell_complete=words.kinds)
@click.argument("name")
def command(kind: str, name: str) -> None:
    """Add a component of KIND called NAME to the plugins/ of this project: a file that works, and its test.

    NAME is what specs call it; nothing is overwritten.
    """
    from annpipe.record.journal.project import find_project
    from annpipe.scaffold.component import new_component

    known_kind(kind)
    written = new_component(kind, name, find_project(), open_registry(()))
    file, test = (os.path.relpath(path) for path in (written.file, written.test))
    click.echo(f"wrote {file} and {test}\n")
    click.echo("in a spec beside plugins/:")
    for line in written.lines:
        click.echo(f"  {line}")
    click.echo(f"\nchange the file to what you have in mind, then:\n  python -m pytest {test}")
