"""The text of `annpipe run`: how a run ended, its figures and its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from annpipe.record.shipper.recorder import ShipState
    from annpipe.runs.finished import Finished

MOST_REFUSALS = 20


def short_path(path: Path) -> str:
    """A path as short as it can be said from the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def summary(finished: Finished) -> str:
    """Where the run is, its final values and the next commands."""
    from annpipe.cli.views.text import padded
    from annpipe.errors import NonFinite, OutOfMemory, one_line, text_width
    from annpipe.runs.run import can_go_on

    values = finished.values
    lines = [f"{finished.status}  {finished.plan.head.name}", f"  run     {short_path(finished.folder)}"]
    lines.append(f"  record  {record_text(finished.record, finished.plan.tracking.wait_seconds)}")
    named = {one_line(key): value for key, value in sorted(values.items())}
    width = max(map(text_width, named), default=0)
    lines += [f"  {padded(key, width)}  {value:.6g}" for key, value in named.items()]
    if finished.status == "FINISHED":
        figures = sorted((finished.folder / "artifacts" / "plots").glob("*"))
        lines += [f"  figure  {short_path(figure)}" for figure in figures]
        report = finished.folder / "report.html"
        lines += [f"  report  {short_path(report)}"] if report.is_file() else []
        lines += ["", "next:", "  annpipe ui      open the run in MLflow's UI", "  annpipe runs    list all runs"]
    elif isinstance(finished.outcome.error, NonFinite):  # to go on would lead there again
        spec = short_path(Path(finished.plan.file))
        lines += ["", "next:", f"  annpipe lr {spec}    suggest a learning rate"]
        train = finished.plan.train
        if train.clip_norm is None and train.clip_value is None:
            lines += [f"  annpipe run {spec} --set train.clip_norm=1    limit the gradients"]
        if train.non_finite != "rollback":
            back = f"  annpipe run {spec} --set train.non_finite=rollback"
            lines += [f"{back}    go back and halve the rate where it happens"]
    elif isinstance(finished.outcome.error, OutOfMemory):
        lines += ["", "next:", f"  annpipe plan {short_path(Path(finished.plan.file))}    show what a step holds"]
    elif can_go_on(finished.folder):
        lines += ["", "next:", f"  annpipe resume {finished.folder.name}    go on from the last checkpoint"]
    return "\n".join(lines)


def record_text(state: ShipState, waited: float) -> str:
    """How far the record has come, in words; what the store refused, item by item."""
    if state.complete:
        first = f"complete: MLflow run {state.run_id} in {state.store}"
    elif state.shipping:
        first = f"still shipping in the background after {waited:g} s; `annpipe runs` tells"
    else:
        first = f"not complete ({state.problem}); the journal has everything: `annpipe sync` ships it"
    return "\n".join([first, *(f"          {line}" for line in [*refusals(state.refused), *state.notices])])


def refusals(refused: Sequence[str]) -> list[str]:
    """A line for each item that a store refused, as far as they can be read; the log has them all."""
    from annpipe.errors import visible

    lines = [f"refused: {visible(item)}" for item in refused[:MOST_REFUSALS]]
    more = len(refused) - MOST_REFUSALS
    return [*lines, f"and {more} more: see shipper.log in the run's folder"] if more > 0 else lines


def as_json_text(finished: Finished) -> str:
    """The result for programs."""
    import json

    from annpipe.cli.problems import strict

    values = {key: strict(value) for key, value in finished.values.items()}
    result = {
        "run": finished.folder.name,
        "folder": str(finished.folder),
        "status": finished.status,
        "values": values,
        "mlflow_run_id": finished.record.run_id,
        "store": finished.record.store,
        "recorded": finished.record.complete,
        "refused": list(finished.record.refused),
    }
    return json.dumps(result, indent=2)


def conclude(finished: Finished, *, as_json: bool) -> int:
    """Prints how the run ended; the exit code of the command."""
    from annpipe.errors import AnnpipeError
    from annpipe.errors.redact import scrub

    outcome = finished.outcome
    if outcome.error is not None:
        known = isinstance(outcome.error, AnnpipeError)
        kind = "" if known else f"{type(outcome.error).__name__}: "
        click.echo(f"error: the run failed: {kind}{scrub(str(outcome.error))}", err=True)
        if not known:
            click.echo(
                f"       the traceback is in {short_path(finished.folder / 'artifacts' / 'error.txt')}", err=True
            )
    click.echo(as_json_text(finished) if as_json else summary(finished))
    if outcome.status == "FINISHED":
        return 0
    return 1 if outcome.signal is None else 128 + outcome.signal
