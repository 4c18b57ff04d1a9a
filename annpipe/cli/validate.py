"""`annpipe validate SPEC…`: every mistake of every spec at once."""

from __future__ import annotations

from pathlib import Path

import click

from annpipe.cli.display import RunDisplay
from annpipe.errors import Problem, SpecError


@click.command("validate")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SPEC...")
def command(specs: tuple[Path, ...]) -> None:
    """Check SPECs and report all mistakes at once; torch is imported only for specs whose names are right."""
    from annpipe.launch import complete, read

    problems: list[Problem] = []
    for path in specs:
        try:
            complete(read(path), RunDisplay())
        except SpecError as error:
            problems += error.problems
        else:
            click.echo(f"{path}: ok")
    if problems:
        raise SpecError(problems)
