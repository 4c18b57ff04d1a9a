"""`annpipe run SPEC`: train what a spec declares, and record it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import spec_argument, spec_options
from annpipe.cli.views.run import as_json_text, shown, summary

if TYPE_CHECKING:
    from annpipe.runs.launch import Finished


@click.command("run")
@spec_argument
@spec_options
@click.option("--name", help="A name for the run, instead of the spec's.")
@click.option("--tracking-uri", metavar="URI", help="Record in this MLflow store, not in the project's own.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    spec: Path,
    overrides: tuple[str, ...],
    unset: tuple[str, ...],
    device: str | None,
    name: str | None,
    tracking_uri: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train what SPEC declares, and record it in MLflow."""
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.launch import complete, launch, read

    drafted = read(spec, overrides=overrides, unset=unset, device=device, name=name)
    if drafted.spec.sweep is not None:
        click.echo(
            f"note: of a spec with a sweep one run is trained; `annpipe sweep {spec}` tries all it says", err=True
        )
    with RunDisplay() as display:
        if dry_run:
            from annpipe.cli.views.plan import show_plan

            click.echo(show_plan(complete(drafted, display)))
            return
        finished = launch(drafted, display, tracking_uri)
    sys.exit(conclude(finished, as_json=as_json))


def conclude(finished: Finished, *, as_json: bool) -> int:
    """Says how the run ended, and gives the exit code."""
    from annpipe.errors import AnnpipeError
    from annpipe.errors.redact import scrub

    outcome = finished.outcome
    if outcome.error is not None:
        known = isinstance(outcome.error, AnnpipeError)
        kind = "" if known else f"{type(outcome.error).__name__}: "
        click.echo(f"error: the run failed: {kind}{scrub(str(outcome.error))}", err=True)
        if not known:
            click.echo(f"       the traceback is in {shown(finished.folder / 'artifacts' / 'error.txt')}", err=True)
    click.echo(as_json_text(finished) if as_json else summary(finished))
    if outcome.status == "FINISHED":
        return 0
    return 1 if outcome.signal is None else 128 + outcome.signal
