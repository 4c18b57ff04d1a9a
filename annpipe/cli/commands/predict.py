"""`annpipe predict RUN DATA`: writes what a run's model predicts for the rows of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import run_and_data, trust_option

if TYPE_CHECKING:
    from annpipe.saved.predict import Predicted


@click.command("predict")
@run_and_data
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A .csv, .parquet or .npz file.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Write this column of DATA too; may be repeated.")
@trust_option
def command(run: Path, data: str, output: Path | None, keep: tuple[str, ...], trust: bool) -> None:
    """Write what RUN's model predicts for the rows of DATA: a .csv, .parquet, .jsonl or .npz file, or - for CSV.

    Columns are found by name, in any order. Predictions are class names with their probabilities, or numbers in
    the units of the data; as CSV on stdout where no --output is given.
    """
    from annpipe.saved.predict import predict

    done = predict(run, data, output, keep, trust=trust)
    for line in _remarks(done):
        click.echo(f"warning: {line}", err=True)
    if output:
        click.echo(f"{done.rows:,} row{'s' * (done.rows != 1)} in {output}", err=True)


def _remarks(done: Predicted) -> list[str]:
    from annpipe.errors import one_line

    of = f"of {done.rows:,} rows"
    unknown = {one_line(name): count for name, count in done.unknown.items()}
    lines = [f"{count:,} {of} have a word in '{name}' that training never saw" for name, count in unknown.items()]
    if done.lost:
        first = f"the first is row {done.first_lost}"
        lines.append(f"{done.lost:,} {of} have no answer, since a value is missing; {first}")
    return lines
