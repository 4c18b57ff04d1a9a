"""`annpipe run SPEC`: train what a spec declares, and record it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.specs import complete, read, spec_options

if TYPE_CHECKING:
    from annpipe.record.recorder import Recorder, ShipState
    from annpipe.running import Outcome, Run


@click.command("run")
@click.argument("spec", type=click.Path(path_type=Path))
@spec_options
@click.option("--name", help="A name for the run, instead of the spec's.")
@click.option("--tracking-uri", metavar="URI", help="Record in this MLflow store, not in the project's own.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    spec: Path,
    overrides: tuple[str, ...],
    device: str | None,
    name: str | None,
    tracking_uri: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train what SPEC declares, and record it in MLflow."""
    drafted = read(spec, overrides, device, name)
    if dry_run:
        from annpipe.cli.plan import show_plan

        click.echo(show_plan(complete(drafted)))
        return
    from annpipe.record.location import artifact_root, resolve_tracking_uri
    from annpipe.record.project import find_project, new_run_folder
    from annpipe.record.recorder import Recorder

    project = find_project()
    uri = resolve_tracking_uri(tracking_uri, project, drafted.spec.tracking.uri)
    recorder = Recorder.start_shipper()  # it imports mlflow while torch is imported here
    plan = complete(drafted)
    check_device(plan.device.type, drafted.spec.place("device"))

    from annpipe.cli.display import RunDisplay
    from annpipe.running import begin

    with RunDisplay() as display:
        folder = new_run_folder(project, plan.head.name)
        run = begin(plan, folder, display, tracking_uri=uri, artifact_root=artifact_root(uri, project))
        recorder.attach(folder, uri)
        outcome = train(run, display)
    sys.exit(conclude(run, outcome, recorder, as_json=as_json))


def check_device(word: str, place: object) -> None:
    """Refuses a device that this machine lacks before a run folder is made."""
    from annpipe.errors import Place
    from annpipe.train.device import find_device

    find_device(word, place if isinstance(place, Place) else None)


def train(run: Run, display: object) -> Outcome:
    """Lets a run go, with its progress shown."""
    from annpipe.cli.display import RunDisplay

    assert isinstance(display, RunDisplay)
    return run.go(lambda steps, device, done: display.start(steps.total_steps, steps.steps_per_epoch, done))


def conclude(run: Run, outcome: Outcome, recorder: Recorder, *, as_json: bool) -> int:
    """Waits a bounded time for the record, says how the run ended, and gives the exit code."""
    from annpipe.errors import AnnpipeError, OptionError
    from annpipe.registry.discovery import PluginFault

    if outcome.error is not None:
        known = isinstance(outcome.error, AnnpipeError | OptionError | PluginFault)
        kind = "" if known else f"{type(outcome.error).__name__}: "
        click.echo(f"error: the run failed: {kind}{outcome.error}", err=True)
        if not known:
            click.echo(f"       the traceback is in {shown(run.folder / 'artifacts' / 'error.txt')}", err=True)
    state = recorder.finish(run.plan.tracking.wait_seconds)
    click.echo(as_json_text(run, outcome, state) if as_json else summary(run, outcome, state))
    if outcome.status == "FINISHED":
        return 0
    return 1 if outcome.signal is None else 128 + outcome.signal


def shown(path: Path) -> str:
    """A path as short as it can be said from the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def summary(run: Run, outcome: Outcome, state: ShipState) -> str:
    """Where the run is, its final values and the next commands."""
    lines = [f"{outcome.status}  {run.plan.head.name}", f"  run     {shown(run.folder)}"]
    lines.append(f"  record  {_record(run, state)}")
    width = max((len(key) for key in outcome.values), default=0)
    lines += [f"  {key:<{width}}  {value:.6g}" for key, value in sorted(outcome.values.items())]
    if outcome.status == "FINISHED":
        figures = sorted((run.folder / "artifacts" / "plots").glob("*"))
        lines += [f"  figure  {shown(figure)}" for figure in figures]
        lines += ["", "next:", "  annpipe ui      open the run in MLflow's UI", "  annpipe runs    list all runs"]
    else:
        lines += ["", "next:", f"  annpipe resume {run.folder.name}    go on from the last checkpoint"]
    return "\n".join(lines)


def _record(run: Run, state: ShipState) -> str:
    if state.complete:
        return f"complete: MLflow run {state.run_id} in {state.store}"
    if state.shipping:
        return f"still shipping in the background after {run.plan.tracking.wait_seconds:g} s; `annpipe runs` tells"
    return f"not complete ({state.problem}); the journal has everything: `annpipe sync` ships it"


def as_json_text(run: Run, outcome: Outcome, state: ShipState) -> str:
    """The result for programs."""
    import json

    values = {key: value if value - value == 0 else str(value) for key, value in outcome.values.items()}
    result = {
        "run": run.folder.name,
        "folder": str(run.folder),
        "status": outcome.status,
        "values": values,
        "mlflow_run_id": state.run_id,
        "store": state.store,
        "recorded": state.complete,
    }
    return json.dumps(result, indent=2)
