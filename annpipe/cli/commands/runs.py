"""`annpipe runs`: lists the runs of a project, how they ended, and whether they are recorded."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words
from annpipe.cli.problems import strict

if TYPE_CHECKING:
    from pathlib import Path

    from annpipe.record.journal.summary import RunSummary


@click.command("runs")
@click.option("--sort", metavar="KEY", help="Order by a metric, the best first, or by name, started, duration, …")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="EXPR",
    help="Only runs for which it holds: `name=quad*`, `status=FINISHED`, `metric<0.1`, `val/loss<=0.5`. Repeatable.",
)
@click.option("--sweep", metavar="NAME", shell_complete=words.runs, help="Only this sweep and its trials.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def command(sort: str | None, filters: tuple[str, ...], sweep: str | None, *, as_json: bool) -> None:
    """List the runs of this project, the latest last, with their true status and the metric that they are judged by.

    That is the metric of a trial's sweep, else what a callback monitors, else the loss of val, else that of train.
    """
    from annpipe.cli import run_selection
    from annpipe.cli.views.runs import as_table
    from annpipe.cli.views.text import terminal_width
    from annpipe.record.journal.project import find_project, runs_folder

    conditions = [run_selection.condition(text) for text in filters]
    project = find_project()
    listed = _summaries(project, sweep)
    summaries = run_selection.selected(listed, conditions, runs_folder(project))
    if sort is not None:
        summaries = run_selection.ordered(summaries, sort, runs_folder(project))
    if as_json:
        click.echo(json.dumps([_strict(summary) for summary in summaries], indent=2))
    elif summaries:
        keys = [key for key in (sort, *(each.key for each in conditions)) if key]
        shown = run_selection.metrics_of(summaries, keys, runs_folder(project))
        click.echo("\n".join(as_table(summaries, shown, {run.id: run.name for run in listed}, terminal_width())))
    elif listed:
        click.echo(f"none of {len(listed)} runs is as --filter asks", err=True)
    else:
        click.echo(f"no runs yet in {runs_folder(project)}; `annpipe run SPEC` makes one", err=True)
    n_missing = sum(not summary.is_recorded and summary.status != "RUNNING" for summary in summaries)
    if n_missing:
        click.echo(f"{n_missing} {'is' if n_missing == 1 else 'are'} not shipped: `annpipe sync`", err=True)


def _summaries(project: Path, sweep: str | None) -> list[RunSummary]:
    """The summaries of all runs, or of a sweep and its trials."""
    from annpipe.cli.project_runs import runs_of, warn_damaged, warn_skipped
    from annpipe.record.journal.project import Skipped
    from annpipe.record.journal.summary import summarize

    summaries = []
    for folder in runs_of(project) if sweep is None else _of_sweep(project, sweep):
        try:
            summaries.append(summarize(folder))
            warn_damaged(folder)
        except OSError as error:  # it was deleted meanwhile, or may not be read
            warn_skipped([str(Skipped(folder, f"it cannot be read ({error.strerror})"))])
    return summaries


def _of_sweep(project: Path, name: str) -> list[Path]:
    """A sweep and its trials, those made before it and those that still train among them."""
    from annpipe.cli.project_runs import runs_of
    from annpipe.record.journal.lines import run_begun
    from annpipe.record.journal.summary import find_sweep, trials_of

    folder = find_sweep(project, name)
    children = [run for run in runs_of(project) if run_begun(run).parent == folder.name]
    return list(dict.fromkeys([folder, *trials_of(folder), *children]))


def _strict(summary: RunSummary) -> dict[str, object]:
    """JSON has no nan and no infinity."""
    return {key: strict(value) for key, value in asdict(summary).items()}
