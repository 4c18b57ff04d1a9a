"""`annpipe evaluate RUN DATA`: measures a run's model on other rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import run_and_data, trust_option

if TYPE_CHECKING:
    from annpipe.runs.evaluate import Evaluated


@click.command("evaluate")
@run_and_data
@click.option("--name", help="The name of these rows in the record; the file's name if left out.")
@click.option("--tracking-uri", metavar="URI", help="The run's store, where it needs credentials.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: Path, data: str, name: str | None, tracking_uri: str | None, trust: bool, as_json: bool) -> None:
    """Measure the model of RUN on the labelled rows of DATA: a .csv, .parquet, .jsonl or .npz file, or - for CSV.

    Gives the loss, the metrics and the figures of the run's spec, and adds them to its record as evaluated/NAME/….
    The data that the run was trained on are not needed.
    """
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.evaluate import evaluate_run

    with RunDisplay() as display:
        evaluated = evaluate_run(run, data, name, display, tracking_uri, trust=trust)
    click.echo(as_json_text(run, evaluated) if as_json else as_text(run, evaluated))


def as_text(run: Path, evaluated: Evaluated) -> str:
    """The values for a person, and where the rest is."""
    from annpipe.cli.views.run import record_text, short_path
    from annpipe.errors import one_line

    named = {one_line(key): value for key, value in sorted(evaluated.values.items())}
    width = max(map(len, named))
    lines = [f"{run.name}  on {evaluated.rows:,} row{'s' * (evaluated.rows != 1)} of {evaluated.name}"]
    lines += [f"  {key:<{width}}  {value:.6g}" for key, value in named.items()]
    lines += [f"  figure  {short_path(figure)}" for figure in evaluated.figures]
    return "\n".join([*lines, f"  record  {record_text(evaluated.record, evaluated.wait_seconds)}"])


def as_json_text(run: Path, evaluated: Evaluated) -> str:
    """The result for programs."""
    from annpipe.cli.problems import strict

    values = {key: strict(value) for key, value in evaluated.values.items()}
    figures = [str(figure) for figure in evaluated.figures]
    result = {"run": run.name, "name": evaluated.name, "rows": evaluated.rows, "values": values, "figures": figures}
    return json.dumps(
        result | {"mlflow_run_id": evaluated.record.run_id, "recorded": evaluated.record.complete}, indent=2
    )
