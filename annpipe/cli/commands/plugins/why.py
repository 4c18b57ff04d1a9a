"""`annpipe plugins why NAME`: says where a component comes from, or why it is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from annpipe.cli.completion import words
from annpipe.cli.options import known_kind, plugin_option
from annpipe.errors import NotFound, one_line


@click.command("why")
@click.argument("name", metavar="[KIND/]NAME", shell_complete=words.kinds_and_names)
@plugin_option
def command(name: str, plugins: tuple[Path, ...]) -> None:
    """Say where the component NAME comes from, or why it is missing: not installed, broken, taken, misspelt.

    Files of the project are read, not imported; --plugin imports one. The exit code is 2 where specs cannot use it.
    """
    from annpipe.errors.render import render
    from annpipe.record.journal.project import find_project
    from annpipe.registry.why import why

    kind, slash, word = one_line(name).rpartition("/")
    if not word:
        raise click.UsageError("say which name, as `Swish` or `layer/Swish`; `annpipe list` shows all")
    answer = why(word, known_kind(kind) if slash else None, find_project(), plugins)
    for reason in answer.reasons:
        click.echo(reason.text)
        if reason.problem is not None:
            click.echo("  " + render(reason.problem).replace("\n", "\n  "))
    if not answer.is_there:
        sys.exit(NotFound.exit_code)
