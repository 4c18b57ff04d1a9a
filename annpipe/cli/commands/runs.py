"""`annpipe runs`: lists the runs of a project, how they ended, and whether they are recorded."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from annpipe.cli.problems import strict
from annpipe.cli.views.text import aligned

if TYPE_CHECKING:
    from annpipe.record.journal.summary import RunSummary

HEADINGS = ("RUN", "NAME", "STATUS", "STARTED", "DURATION", "TRAIN/LOSS", "RECORD")


@click.command("runs")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
def command(as_json: bool) -> None:
    """List the runs of this project, the latest last, with their true status."""
    from annpipe.cli.project_runs import runs_of, warn_damaged, warn_skipped
    from annpipe.errors import one_line
    from annpipe.record.journal.project import Skipped, find_project, runs_folder
    from annpipe.record.journal.summary import summarize

    project = find_project()
    summaries = []
    for folder in runs_of(project):
        try:
            summaries.append(summarize(folder))
            warn_damaged(folder)
        except OSError as error:  # it was deleted meanwhile, or may not be read
            warn_skipped([str(Skipped(folder, f"it cannot be read ({error.strerror})"))])
    if as_json:
        click.echo(json.dumps([_strict(summary) for summary in summaries], indent=2))
    elif summaries:
        rows = [HEADINGS, *(tuple(map(one_line, _row(summary))) for summary in summaries)]
        click.echo("\n".join(aligned(rows)))
    else:
        click.echo(f"no runs yet in {runs_folder(project)}; `annpipe run SPEC` makes one", err=True)
    n_missing = sum(not summary.is_recorded and summary.status != "RUNNING" for summary in summaries)
    if n_missing:
        click.echo(f"{n_missing} {'is' if n_missing == 1 else 'are'} not shipped: `annpipe sync`", err=True)


def _row(summary: RunSummary) -> tuple[str, ...]:
    record = "shipped" if summary.is_recorded else "shipping" if summary.status == "RUNNING" else "not shipped"
    return (
        summary.id,
        summary.name,
        summary.status,
        f"{datetime.fromtimestamp(summary.started_ms / 1000):%Y-%m-%d %H:%M:%S}",
        _duration(summary.duration_seconds),
        "-" if summary.train_loss is None else f"{summary.train_loss:.6g}",
        record,
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _strict(summary: RunSummary) -> dict[str, object]:
    return {**asdict(summary), "train_loss": strict(summary.train_loss)}  # JSON has no nan and no infinity
