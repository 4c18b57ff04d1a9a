"""`annpipe sweep SPEC --over PATH=VALUES…`: every combination of some values, trained and compared."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli import words
from annpipe.cli.specs import spec_argument, spec_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annpipe.errors import Problem
    from annpipe.sweep.design import Design
    from annpipe.sweep.running import SweepEnd
    from annpipe.sweep.table import Result, Swept
    from annpipe.sweep.trials import Teller, Trial

MOST_ROWS = 10  # of a table in the terminal


@click.command("sweep")
@spec_argument
@spec_options
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
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Trials in all.")
@click.option("--prune", metavar="NAME", help="Stop trials early: median, percentile, successive_halving, hyperband…")
@click.option("--metric", metavar="KEY", help="What trials are compared by; the loss of val if left out.")
@click.option("--goal", type=click.Choice(("minimize", "maximize")), help="Where the metric does not say it itself.")
@click.option("--fail", type=click.Choice(("continue", "stop")), help="What happens after a trial that failed.")
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
    spec: Path,
    overrides: tuple[str, ...],
    unset: tuple[str, ...],
    device: str | None,
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
    """Train SPEC with many values, and record all trials together.

    The values are those of its section `sweep` and of --over. A trial that the project has finished already is not
    trained again: an interrupted sweep goes on when it is called again, and one with more values trains the new ones
    alone. Over seeds, folds and other splits results are averaged.
    """
    from annpipe.spec.axes import read_over

    more = [f"seed=0..{seeds - 1}"] if seeds else []
    more += [f"data.split.fold=0..{folds - 1}"] if folds else []
    over = [read_over(text) for text in [*axes, *more]]
    changes = [*overrides, *([f"data.split.folds={folds}"] if folds else [])]
    changes += [f"sweep.{name}={value}" for name, value in options.items() if value is not None]

    from annpipe.launch import read, shipping

    display = _Display()
    drafted = read(spec, overrides=changes, unset=unset, device=device, over=over)
    with nullcontext() if dry_run else shipping() as recorder:  # started before torch is imported
        from annpipe.sweep.design import designed
        from annpipe.sweep.running import train_sweep
        from annpipe.sweep.trials import Request

        design = designed(Request(spec, tuple(changes), unset, device, tuple(over)), display, drafted)
        if recorder is None:
            click.echo(plan_said(design, display))
            return
        ended = train_sweep(design, display, recorder, workers=workers, storage=storage, tracking_uri=tracking_uri)
    click.echo(as_json_text(ended) if as_json else said(ended))
    sys.exit(_code(ended))


def _code(ended: SweepEnd) -> int:
    if ended.signal is not None:
        return 128 + ended.signal
    return 0 if all(result.status in ("FINISHED", "PRUNED") for result in ended.swept.results) else 1


class _Display:
    """A line a trial, on stderr."""

    def trial(self, result: Result, done: int, of: int) -> None:
        from annpipe.spec.axes import Axis, in_words

        values = ", ".join(f"{Axis(path).short} {in_words(value)}" for path, value in result.values.items())
        finals = "  ".join(f"{key} {value:.6g}" for key, value in sorted(result.finals.items()) if "loss" in key)
        how = finals if result.status == "FINISHED" else result.status
        click.echo(f"trial {done}/{of}  {values}  {how}{'' if result.is_new else '  (made before)'}", err=True)

    def event(self, message: str) -> None:
        click.echo(message, err=True)

    def warn(self, problem: Problem) -> None:
        from annpipe.report import render

        click.echo(render(problem) + "\n", err=True)


def plan_said(design: Design, teller: Teller) -> str:
    """What a sweep would do."""
    from annpipe.record.project import find_project
    from annpipe.sweep.axes import corners
    from annpipe.sweep.trials import Made, Planner

    call, total = design.call, design.choices * design.repeats
    planner = Planner(design.request, design.axes, teller)
    values = design.combinations if call.is_grid else corners(design.axes)
    trials = Made(find_project()).of([planner.trial(number, one) for number, one in enumerate(values)])
    lines = [f"{design.base.head.name}: {total} trials", ""]
    width = max(len(axis.path) for axis in design.axes)
    lines += [f"  {axis.path:<{width}}  {axis.said}" for axis in design.axes]
    lines += ["", f"method      {_how(design)}"]
    lines += [f"pruned by   {call.prune.name}"] if call.prune else []
    best = "the largest" if design.goal.higher else "the smallest"
    lines.append(f"compared by {design.goal.metric}, {best} is best")
    span = _span([trial.plan.n_parameters for trial in trials])
    return "\n".join([*lines, f"parameters  {span}", *_to_train(design, trials), *_cost(total, trials)])


def _span(counts: Sequence[int]) -> str:
    return f"{min(counts):,}" + (f" to {max(counts):,}" if len(set(counts)) > 1 else "")


def _cost(total: int, trials: Sequence[Trial]) -> list[str]:
    """How much a step of a trial computes, and how long the trials are."""
    from annpipe.plan.cost import multiply_adds

    lengths = dict.fromkeys(
        f"{trial.plan.train.epochs:,} epochs" if trial.plan.train.epochs else f"{trial.plan.train.steps:,} steps"
        for trial in trials
    )
    counts = [[multiply_adds(layer, trial.plan.registry) for layer in trial.plan.model] for trial in trials[:16]]
    span = _span([sum(count for count in one if count is not None) for one in counts])
    return [f"cost        {total} times {' or '.join(lengths)}, of {span} multiply-adds for a row that passes forwards"]


def _how(design: Design) -> str:
    name = design.call.method.name
    options = design.call.method.options.model_dump(exclude_unset=True)
    told = f"{name} ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else name
    repeated = f", each choice with {design.repeats} repetitions" if design.repeats > 1 else ""
    at_a_time = f", {design.batch} choices at a time" if design.batch < design.choices else ""
    return f"{told}{repeated}{at_a_time}"


def _to_train(design: Design, trials: Sequence[Trial]) -> list[str]:
    """What is trained together, and what alone and why; of chosen trials only examples are known."""
    from annpipe.sweep.training import stacks
    from annpipe.train.stacking import Reasons

    reasons = Reasons()
    made = sum(trial.run is not None for trial in trials)
    alone = dict.fromkeys(why for trial in trials if trial.run is None and (why := reasons(trial.plan)))
    lines = [f"alone       because of {why}" for why in alone]
    if not design.call.is_grid:
        return [f"to train    {design.choices * design.repeats}", *lines]
    lines.insert(0, f"to train    {len(trials) - made}" + (f" ({made} made before)" if made else ""))
    together = [len(group) for group in stacks(trials) if len(group) > 1]
    if together:
        lines.insert(1, f"stacked     {sum(together)} of them, {' and '.join(map(str, together))} at a time")
    return lines


def said(ended: SweepEnd) -> str:
    """The best trials, what repetitions say, and what comes next."""
    from annpipe.cli.run import recorded, shown

    swept = ended.swept
    lines = [f"{'KILLED' if ended.signal is not None else 'FINISHED'}  {swept.name} sweep, {len(swept.results)} trials"]
    lines.append(f"  run     {shown(ended.folder)}")
    lines.append(f"  record  {recorded(ended.record, ended.wait_seconds)}")
    lines += [f"  figure  {shown(figure)}" for figure in sorted((ended.folder / "artifacts" / "plots").glob("*"))]
    lines += ["", *_aligned(_groups(swept) or _trials(swept))]
    if swept.best is not None:
        best = ended.folder.name
        lines += ["", "next:", f"  annpipe best {best} > best.yaml", f"  annpipe compare {best}", "  annpipe ui"]
    return "\n".join(lines)


def _trials(swept: Swept) -> list[list[str]]:
    rows = [[*(axis.path for axis in swept.axes), swept.goal.metric, "run"]]
    for result in swept.ordered()[:MOST_ROWS]:
        value = result.finals.get(swept.goal.metric)
        told = result.status if value is None else f"{value:.6g}"
        rows.append([*map(_value, result.values.values()), told, result.run.name if result.run else ""])
    more = len(swept.results) - MOST_ROWS
    return rows + ([[f"… and {more} more: trials.csv in its folder"]] if more > 0 else [])


def _groups(swept: Swept) -> list[list[str]]:
    groups = swept.groups
    if not groups:
        return []
    rows = [[*groups[0].values, f"mean {swept.goal.metric}", "std", "95 % interval", "trials"]]
    for group in groups[:MOST_ROWS]:
        one = group.spread
        interval = f"{one.mean - one.half_width:.6g} … {one.mean + one.half_width:.6g}"
        count = str(one.n) if one.n == len(group.trials) else f"{one.n} of {len(group.trials)}"
        own = [f"{one.mean:.6g}", f"{one.deviation:.3g}", interval, count]
        rows.append([*map(_value, group.values.values()), *own])
    more = len(groups) - MOST_ROWS
    return rows + ([[f"… and {more} more: trials.csv in its folder"]] if more > 0 else [])


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows if len(row) == len(rows[0])) for place in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() if len(row) > 1 else row[0] for row in rows]


def _value(value: Any) -> str:
    from annpipe.spec.axes import in_words

    return in_words(value)


def as_json_text(ended: SweepEnd) -> str:
    """Everything for programs."""
    from annpipe.cli.formats import strict

    swept, best = ended.swept, ended.swept.best
    trials = [
        {
            "trial": result.number,
            "values": result.values,
            "status": result.status,
            "made_before": not result.is_new,
            "run": result.run.name if result.run else None,
            "finals": {key: strict(value) for key, value in result.finals.items()},
        }
        for result in swept.results
    ]
    groups = [
        {
            "values": group.values,
            "trials": group.trials,
            "mean": strict(group.spread.mean),
            "deviation": strict(group.spread.deviation),
            "half_width_95": strict(group.spread.half_width),
        }
        for group in swept.groups
    ]
    data = {
        "sweep": ended.folder.name,
        "metric": swept.goal.metric,
        "goal": "maximize" if swept.goal.higher else "minimize",
        "best": best.run.name if best and best.run else None,
        "trials": trials,
        "groups": groups,
        "mlflow_run_id": ended.record.run_id,
        "recorded": ended.record.complete,
    }
    return json.dumps(data, indent=2, ensure_ascii=False)
