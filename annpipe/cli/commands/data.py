"""`annpipe data SPEC` shows what the data are: rows and splits, columns, balance of classes, first rows, and leaks.

`annpipe data FILE` shows what a file seems to hold, without a spec, and the section that would read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from annpipe.cli.options import spec_source
from annpipe.runs.spec_source import SpecSource

if TYPE_CHECKING:
    from annpipe.datasets.inspect import SplitData
    from annpipe.draft.data_only import DataDraft


@click.command("data")
@spec_source(device=False, untrusted=True)
@click.option("--rows", type=click.IntRange(min=0), default=5, help="How many of the first rows to show [default: 5].")
@click.option(
    "-o", "--figure", type=click.Path(path_type=Path, dir_okay=False), help="Draw the columns: .svg, .png or .pdf."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    source: SpecSource,
    rows: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Show the data that SPEC reads or makes, and warn of leaks; the rest of SPEC may be missing.

    Without a spec, SPEC may be a file of rows (.csv, .parquet, .jsonl or .npz): annpipe guesses how it is written and
    what its columns are, and prints the section of a spec that reads it, as in `annpipe data houses.csv`.
    """
    from annpipe.cli.progress import RunDisplay
    from annpipe.cli.views.data import as_json_text, as_text
    from annpipe.files.rows_files import format_of

    if format_of(source.spec):
        _show_file(source, figure, as_json=as_json)
        return
    drafted = source.draft_data()
    if figure:
        _check_ending(figure)

    from annpipe.datasets.inspect import load_for_inspection
    from annpipe.datasets.leaks import all_findings
    from annpipe.datasets.profile import profile

    split_data = load_for_inspection(drafted)
    table = profile(split_data.dataset, split_data.splits, rows, split_data.fields)
    warnings = list(all_findings(split_data))
    if figure:
        draw(drafted, split_data, figure)
    click.echo(as_json_text(split_data, table, warnings, figure) if as_json else as_text(split_data, table, figure))
    if not as_json:
        display = RunDisplay()
        for warning in warnings:
            display.warn(warning)


def _show_file(source: SpecSource, figure: Path | None, *, as_json: bool) -> None:
    """What a file seems to be."""
    from annpipe.cli.views.file import as_json_text, as_text
    from annpipe.datasets.guess.file import guessed_file

    if source.overrides or source.unset or figure:
        raise click.UsageError(f"{source.spec} is a file of rows: --set, --unset and --figure are for a spec")
    guess = guessed_file(str(source.spec))
    click.echo(as_json_text(guess) if as_json else as_text(guess))


def draw(drafted: DataDraft, split_data: SplitData, path: Path) -> None:
    """The figure that the plot `columns` makes of these splits before any training."""
    from annpipe.files.figures import write_figure
    from annpipe.train.loop.figures import view_of_data

    entry = drafted.registry.entry("plot", "columns")
    figure = drafted.registry.load(entry)(view_of_data(split_data.spec.head.name, split_data.splits))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_figure(figure, path)


def _check_ending(path: Path) -> None:
    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise click.UsageError(f"--figure {path}: a figure is written as .svg, .png or .pdf")
