"""`annpipe compare RUN…`: shows only what differs between runs, in their specs and in their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words

if TYPE_CHECKING:
    from pathlib import Path


@click.command("compare")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=words.runs)
@click.option("--last", type=click.IntRange(min=2), metavar="N", help="The latest N runs, in addition to those named.")
@click.option("--csv", "format_", flag_value="csv", help="Print as CSV.")
@click.option("--md", "format_", flag_value="md", help="Print as a table in Markdown.")
@click.option("--json", "format_", flag_value="json", help="Print as JSON.")
def command(runs: tuple[str, ...], last: int | None, format_: str | None) -> None:
    """Show RUNs side by side: what differs in their specs, data and results, and nothing else.

    Each RUN is an id, a part of it, or a name (its latest run); a sweep stands for its trials. Plots, notes and tags
    are not compared.
    """
    from annpipe.cli.project_runs import runs_of, warn_damaged
    from annpipe.cli.views.compare import as_csv, as_json, as_markdown, as_text
    from annpipe.errors import NotFound
    from annpipe.record.journal.comparison import compare
    from annpipe.record.journal.inside import check_inside
    from annpipe.record.journal.project import find_project, find_run, runs_folder

    project = find_project()
    named = [folder for run in runs for folder in _with_trials(find_run(project, run))]
    folders = list(dict.fromkeys([*(runs_of(project)[-last:] if last else []), *named]))
    if len(folders) < 2:
        raise click.UsageError("say which runs: two or more of them, or --last N; `annpipe runs` lists them")
    for folder in folders:
        check_inside(folder)
    comparison = compare(folders, lambda message: click.echo(message, err=True))
    if len(comparison.runs) < 2:
        raise NotFound("fewer than two of these runs can be read")
    for run in comparison.runs:
        warn_damaged(runs_folder(project) / run.id)
    click.echo({"csv": as_csv, "md": as_markdown, "json": as_json}.get(format_ or "", as_text)(comparison))


def _with_trials(folder: Path) -> list[Path]:
    """The trials of a sweep in its place."""
    from annpipe.record.journal.summary import is_sweep, trials_of

    return trials_of(folder) if is_sweep(folder) else [folder]
