"""`annpipe inspect RUN [DATA]`: looks into a run's model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli.options import run_and_maybe_data, trust_option

if TYPE_CHECKING:
    from annpipe.runs.inspect import Inspected

METHODS = (
    *("integrated_gradients", "deep_lift", "shapley_values", "feature_ablation", "input_x_gradient", "saliency"),
)


@click.command("inspect")
@run_and_maybe_data
@click.option("--importance", is_flag=True, help="How much worse the metric gets when a raw column is shuffled.")
@click.option(
    "--dependence",
    "columns",
    multiple=True,
    metavar="COLUMN",
    help="Partial dependence and ICE curves of COLUMN; may be repeated.",
)
@click.option("--units", is_flag=True, help="Dead and saturated units of each activation layer.")
@click.option("--gradients", is_flag=True, help="The norm of each layer's gradient over the training.")
@click.option(
    "--row", type=click.IntRange(min=1), metavar="N", help="Both passes of row N (from 1), layer by layer, checked."
)
@click.option(
    "--attributions",
    "method",
    type=click.Choice(METHODS),
    metavar="METHOD",
    help=f"How much each column adds to an answer, by captum: {', '.join(METHODS)}.",
)
@click.option("--metric", metavar="KEY", help="The metric of --importance; the one that the run is judged by.")
@click.option("--repeats", type=click.IntRange(1, 1000), default=10, show_default=True, help="Shuffles of a column.")
@click.option("--rows", type=click.IntRange(min=1), metavar="N", help="Use at most N rows, at equal distances.")
@click.option("--grid", type=click.IntRange(2, 1000), default=100, show_default=True, help="Values of --dependence.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The seed of the shuffles.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write tables (CSV, .npz) and figures into this new folder.",
)
@click.option("--force", is_flag=True, help="Replace FOLDER where there is one.")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: Path,
    data: str | None,
    importance: bool,
    columns: tuple[str, ...],
    units: bool,
    gradients: bool,
    row: int | None,
    method: str | None,
    metric: str | None,
    repeats: int,
    rows: int | None,
    grid: int,
    seed: int,
    output: Path | None,
    force: bool,
    trust: bool,
    as_json: bool,
) -> None:
    """Look into the model of RUN: which columns it uses, how its units work, what happens to one row.

    The rows are those of the run's own val split (else test, else train), or of DATA, a .csv, .parquet, .jsonl or
    .npz file, or - for CSV from stdin. Without a section, --importance, --units and --gradients are shown.

    \b
    annpipe inspect penguins
    annpipe inspect --last --dependence flipper_length_mm --row 3
    annpipe inspect penguins labelled.csv --importance --metric accuracy -o looked
    """
    import json

    from annpipe.cli.views.inspect import as_text
    from annpipe.cli.views.inspect_data import as_data
    from annpipe.cli.views.inspect_files import check_output, write_inspected

    wanted = {
        "importance": importance or metric is not None,
        "dependence": bool(columns),
        "units": units,
        "gradients": gradients,
        "row": row is not None,
        "attributions": method is not None,
    }
    named = frozenset(section for section, is_wanted in wanted.items() if is_wanted)
    if output is not None:
        check_output(output, force=force)
    inspected = _inspected(run, data, trust, named, columns, row, method, metric, repeats, rows, grid, seed)
    if output is not None:
        names = write_inspected(inspected, output)
        click.echo(f"{len(names)} files in {output}", err=True)
    click.echo(json.dumps(as_data(inspected), indent=2) if as_json else as_text(inspected))


def _inspected(run: Path, data: str | None, trust: bool, *asked: Any) -> Inspected:
    """Looks, and shows what the opening of the run says."""
    from annpipe.cli.progress import RunDisplay
    from annpipe.runs.inspect import Asked, inspect_run

    with RunDisplay() as display:
        return inspect_run(run, data, Asked(*asked), display, trust=trust)
