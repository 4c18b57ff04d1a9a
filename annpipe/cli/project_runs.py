"""The runs of a project, for commands that go through all of them: unreadable ones are skipped with a warning."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

MAX_LINES = 10


def runs_of(project: Path) -> list[Path]:
    """Every run that can be read, the oldest first; those skipped are listed on stderr."""
    from annpipe.record.journal.project import walk

    walked = walk(project)
    warn_skipped(map(str, walked.skipped))
    return list(walked.runs)


def warn_skipped(skipped: Iterable[str]) -> None:
    """Prints a line for each of the first ten skipped folders, and how many more there are."""
    lines = list(skipped)
    for line in lines[:MAX_LINES]:
        click.echo(line, err=True)
    if len(lines) > MAX_LINES:
        click.echo(f"skipped {len(lines) - MAX_LINES} more folders in the same way", err=True)


def warn_damaged(folder: Path) -> bool:
    """Warns of damaged lines in a run's journal and in the samples of its machine; whether there are any."""
    from annpipe.record.journal.lines import FILE, SYSTEM_FILE, damage_text, damaged_lines

    texts = [damage_text(damaged, name) for name in (FILE, SYSTEM_FILE) if (damaged := damaged_lines(folder, name))]
    for text in texts:
        click.echo(f"warning: {folder.name}: {text}", err=True)
    return bool(texts)
