"""The runs of a project for commands that go through them: what is passed over is told, and holds up no other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

MOST_TOLD = 10


def runs_of(project: Path) -> list[Path]:
    """Every run that can be read, the oldest first; the others are told on stderr."""
    from annpipe.record.journal.project import walk

    walked = walk(project)
    tell_skipped(map(str, walked.skipped))
    return list(walked.runs)


def tell_skipped(skipped: Iterable[str]) -> None:
    """Tells what is passed over, a line each."""
    said = list(skipped)
    for line in said[:MOST_TOLD]:
        click.echo(line, err=True)
    if len(said) > MOST_TOLD:
        click.echo(f"skipped {len(said) - MOST_TOLD} more folders in the same way", err=True)


def tell_damage(folder: Path) -> bool:
    """Tells of damaged lines in a run's journal; whether there are any."""
    from annpipe.record.journal.journal import damage_text, damaged_lines

    damaged = damaged_lines(folder)
    if damaged:
        click.echo(f"warning: {folder.name}: {damage_text(damaged)}", err=True)
    return bool(damaged)
