"""`annpipe plan SPEC`: shows the resolved plan: layers, shapes, parameters, and what will be recorded."""

from __future__ import annotations

import json

import click

from annpipe.cli.options import spec_source
from annpipe.cli.progress import RunDisplay
from annpipe.cli.views.plan import origins_as_json, show_draft, show_origins, show_plan
from annpipe.runs.spec_source import SpecSource


@click.command("plan")
@spec_source(untrusted=True)
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the plan as a complete spec.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan (or, with --origin, the origins) as JSON.")
@click.option("--origin", "by_origin", is_flag=True, help="Show which line, override or default gave each value.")
def command(source: SpecSource, as_yaml: bool, as_json: bool, by_origin: bool) -> None:
    """Show the plan that SPEC resolves to, and train nothing."""
    from annpipe.runs.launch import complete

    drafted = source.draft()
    display = RunDisplay()
    for warning in drafted.unchecked:
        display.warn(warning)
    if not drafted.is_whole:
        click.echo(show_draft(drafted))
        return
    plan = complete(drafted, display)
    if by_origin:
        click.echo(origins_as_json(plan, drafted) if as_json else show_origins(plan, drafted))
    elif as_json:
        click.echo(json.dumps({"digest": plan.digest, **plan.to_data()}, indent=2))
    else:
        click.echo(plan.to_yaml().rstrip() if as_yaml else show_plan(plan))
