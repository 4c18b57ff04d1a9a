"""`annpipe resume RUN`: go on with an interrupted run, exactly, in the same MLflow run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from annpipe.plan.plan import Plan


@click.command("resume")
@click.argument("run", required=False)
@click.option("--last", is_flag=True, help="The latest run of this project.")
@click.option("--tracking-uri", metavar="URI", help="The run's store, where it needs credentials.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: str | None, last: bool, tracking_uri: str | None, as_json: bool) -> None:
    """Go on with RUN (its id, a part of it, or its name) from its last checkpoint.

    A run that was interrupted and resumed ends with the same numbers, bit for bit, as one that never was.
    """
    from annpipe.cli.display import RunDisplay
    from annpipe.cli.run import conclude, train
    from annpipe.errors import NotFound
    from annpipe.record.journal import status
    from annpipe.record.project import find_project, find_run
    from annpipe.record.recorder import Recorder

    if not run and not last:
        raise NotFound("say which run: its id, its name, or --last; `annpipe runs` lists them")
    folder = find_run(find_project(), run, last)
    how = status(folder)
    if how in ("FINISHED", "RUNNING"):
        what = "is still running" if how == "RUNNING" else "is finished: nothing is left to do"
        click.echo(f"{folder.name} {what}", err=True)
        sys.exit(0 if how == "FINISHED" else 1)
    recorder = Recorder.start_shipper()
    plan = plan_of(folder)

    from annpipe.running import reopen

    with RunDisplay() as display:
        reopened = reopen(plan, folder, display)
        recorder.attach(folder, tracking_uri)
        outcome = train(reopened, display)
    sys.exit(conclude(reopened, outcome, recorder, as_json=as_json))


def plan_of(folder: Path) -> Plan:
    """The plan that a run was begun with, out of its folder."""
    from annpipe.plan import draft, resolve
    from annpipe.record.journal import read
    from annpipe.record.project import find_project
    from annpipe.registry import Registry
    from annpipe.spec import load_spec
    from annpipe.train.data import observe_fields

    first = next(read(folder), {})
    file = Path(str(first.get("tags", {}).get("annpipe.spec", folder / "plan.yaml")))
    spec = load_spec(folder / "plan.yaml", base=file.resolve().parent)
    plan = resolve(draft(spec, Registry.installed(), project=find_project()), observe_fields)
    return replace(plan, file=str(file))
