"""`annpipe sweep SPEC --over PATH=VALUES…`: trains and compares every combination of some values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from annpipe.cli.completion import words
from annpipe.cli.options import spec_source
from annpipe.cli.views.sweep import as_json_text, as_text, plan_text
from annpipe.runs.spec_source import SpecSource

if TYPE_CHECKING:
    from annpipe.sweep.sweep import SweepEnd


@click.command("sweep")
@spec_source()
@click.option(
    "--over",
    "axes",
    multiple=True,
    metavar="PATH=VALUES",
    shell_complete=words.set_paths,
    help="Try these values at PATH: 1e-3,1e-2 or ReLU,Tanh or 0..7 or '{log_uniform: [1e-4, 1e-1]}'; may be repeated.",
)
@click.option("--seeds", type=click.IntRange(min=2), metavar="N", help="The same as --over seed=0..N-1.")
@click.option("--folds", type=click.IntRange(min=2), metavar="K", help="Hold out each of K folds in turn.")
@click.option("--method", metavar="NAME", help="How trials are chosen: grid, random, sobol, halton, tpe, gp or cmaes.")
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="The number of trials in all.")
@click.option("--prune", metavar="NAME", help="Stop trials early: median, percentile, successive_halving, hyperband…")
@click.option("--metric", metavar="KEY", help="What trials are compared by; the loss of val if left out.")
@click.option(
    "--goal",
    type=click.Choice(("minimize", "maximize")),
    help="Which values of the metric are better, where the metric does not define it.",
)
@click.option(
    "--on-failure", "--fail", type=click.Choice(("continue", "stop")), help="What to do after a trial has failed."
)
@click.option("--retries", type=click.IntRange(min=0), metavar="N", help="Try a trial that failed up to N times again.")
@click.option("--workers", type=click.IntRange(min=1), default=1, metavar="N", help="Train in N processes here.")
@click.option(
    "--storage",
    metavar="URL",
    envvar="ANNPIPE_STORAGE",
    help="Share the trials with whoever runs this sweep on the same database; or set ANNPIPE_STORAGE.",
)
@click.option("--tracking-uri", metavar="URI", help="Record in this MLflow store, not in the project's own.")
@click.option("--dry-run", is_flag=True, help="Show the trials and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    source: SpecSource,
    axes: tuple[str, ...],
    seeds: int | None,
    folds: int | None,
    workers: int,
    storage: str | None,
    tracking_uri: str | None,
    dry_run: bool,
    as_json: bool,
    **options: str | int | None,
) -> None:
    """Train SPEC with each of many combinations of values, and record all trials together.

    The values are those of its section `sweep` and of --over. A trial that the project has finished already is not
    trained again: an interrupted sweep goes on when it is called again, and one with more values trains only the new
    ones. Over seeds, folds and other splits results are averaged.
    """
    from annpipe.runs.launch import shipping

    source = _with_options(source, axes, seeds, folds, options)
    drafted = source.draft()
    with nullcontext() if dry_run else shipping() as recorder:  # started before torch is imported
        from annpipe.cli.views.sweep_display import SweepDisplay
        from annpipe.sweep.design import design_sweep
        from annpipe.sweep.sweep import train_sweep

        display = SweepDisplay()
        design = design_sweep(source, display, drafted)
        if recorder is None:
            click.echo(plan_text(design, display))
            return
        ended = train_sweep(design, display, recorder, workers=workers, storage=storage, tracking_uri=tracking_uri)
    click.echo(as_json_text(ended) if as_json else as_text(ended))
    sys.exit(_code(ended))


def _with_options(
    source: SpecSource,
    axes: Sequence[str],
    seeds: int | None,
    folds: int | None,
    options: Mapping[str, str | int | None],
) -> SpecSource:
    """The spec with the axes of `--over`, `--seeds` and `--folds`, and the options of its section `sweep`."""
    from annpipe.spec.sections.axes import read_over

    more = [f"seed=0..{seeds - 1}"] if seeds else []
    more += [f"data.split.fold=0..{folds - 1}"] if folds else []
    over = [read_over(text) for text in [*axes, *more]]
    overrides = [*source.overrides, *([f"data.split.folds={folds}"] if folds else [])]
    overrides += [f"sweep.{name}={value}" for name, value in options.items() if value is not None]
    return replace(source, overrides=tuple(overrides), over=tuple(over))


def _code(ended: SweepEnd) -> int:
    if ended.signal is not None:
        return 128 + ended.signal
    return 0 if all(result.status in ("FINISHED", "PRUNED") for result in ended.swept.results) else 1
