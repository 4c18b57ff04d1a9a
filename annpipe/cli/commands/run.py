"""`annpipe run SPEC`: trains what a spec declares, and records it."""

from __future__ import annotations

import sys

import click

from annpipe.cli.options import spec_source
from annpipe.cli.views.run import conclude
from annpipe.runs.spec_source import SpecSource


@click.command("run")
@spec_source(name=True)
@click.option("--tracking-uri", metavar="URI", help="Record in this MLflow store, not in the project's own.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(source: SpecSource, tracking_uri: str | None, dry_run: bool, as_json: bool) -> None:
    """Train what SPEC declares, and record it in MLflow."""
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.launch import complete, launch

    drafted = source.draft()
    if drafted.spec.sweep is not None:
        click.echo(
            f"note: this spec has a sweep, and one run is trained; `annpipe sweep {source.spec}` trains all", err=True
        )
    with RunDisplay() as display:
        if dry_run:
            from annpipe.cli.views.plan import show_plan

            click.echo(show_plan(complete(drafted, display)))
            return
        finished = launch(drafted, display, tracking_uri)
    sys.exit(conclude(finished, as_json=as_json))
