"""`annpipe sweep SPEC --over PATH=VALUES…`: every combination of some values, trained and compared."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from annpipe.cli import words
from annpipe.cli.specs import spec_argument, spec_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annpipe.errors import Problem
    from annpipe.sweep.axes import Axis
    from annpipe.sweep.running import SweepEnd
    from annpipe.sweep.table import Result, Swept
    from annpipe.sweep.trials import Goal, Trial

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
    help="Try these values at PATH: 1e-3,1e-2 or ReLU,Tanh or 0..7; may be repeated, for every combination.",
)
@click.option("--seeds", type=click.IntRange(min=2), metavar="N", help="The same as --over seed=0..N-1.")
@click.option("--metric", metavar="KEY", help="What trials are compared by; val/loss, or train/loss, if left out.")
@click.option("--goal", type=click.Choice(("minimize", "maximize")), help="Where the metric does not say it itself.")
@click.option("--fail", type=click.Choice(("continue", "stop")), default="continue", help="After a trial that failed.")
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
    metric: str | None,
    goal: str | None,
    fail: str,
    tracking_uri: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train SPEC with every combination of values, and record all trials together.

    A trial that the project has finished already is not trained again: an interrupted sweep goes on when it is called
    again, and one with more values trains the new ones alone. Over seeds and folds results are averaged.
    """
    from annpipe.record.project import find_project
    from annpipe.sweep.axes import read_axis

    read = [read_axis(text) for text in [*axes, *([f"seed=0..{seeds - 1}"] if seeds else [])]]
    if not read:
        raise click.UsageError("say what to try: --over optimizer.Adam.lr=1e-3,1e-2, or --seeds 8")

    from annpipe.sweep.running import run_sweep
    from annpipe.sweep.trials import goal_of, planned, with_runs

    display = _Display()
    trials = planned(spec, read, display, changes=overrides, unset=unset, device=device)
    chosen = goal_of(trials[0].plan, metric, goal)
    trials = with_runs(trials, find_project())
    if dry_run:
        click.echo(plan_said(read, trials, chosen))
        return
    ended = run_sweep(trials, read, chosen, display, tracking_uri=tracking_uri, stop_on_failure=fail == "stop")
    click.echo(as_json_text(ended) if as_json else said(ended))
    sys.exit(_code(ended))


def _code(ended: SweepEnd) -> int:
    if ended.signal is not None:
        return 128 + ended.signal
    return 0 if all(result.status == "FINISHED" for result in ended.swept.results) else 1


class _Display:
    """A line a trial, on stderr."""

    def trial(self, result: Result, done: int, of: int) -> None:
        from annpipe.sweep.axes import Axis

        values = ", ".join(f"{Axis(path, ()).short} {_value(value)}" for path, value in result.values.items())
        finals = "  ".join(f"{key} {value:.6g}" for key, value in sorted(result.finals.items()) if "loss" in key)
        how = finals if result.status == "FINISHED" else result.status
        click.echo(f"trial {done}/{of}  {values}  {how}{'' if result.is_new else '  (made before)'}", err=True)

    def event(self, message: str) -> None:
        click.echo(message, err=True)

    def warn(self, problem: Problem) -> None:
        from annpipe.report import render

        click.echo(render(problem) + "\n", err=True)


def plan_said(axes: Sequence[Axis], trials: Sequence[Trial], goal: Goal) -> str:
    """What a sweep would do."""
    from annpipe.sweep.training import stacks
    from annpipe.train.stacking import why_solo

    made = sum(trial.run is not None for trial in trials)
    lines = [f"{trials[0].plan.head.name}: {len(trials)} trials", ""]
    width = max(len(axis.path) for axis in axes)
    lines += [f"  {axis.path:<{width}}  {', '.join(map(_value, axis.values))}" for axis in axes]
    lines += ["", f"compared by {goal.metric}, {'the largest' if goal.higher else 'the smallest'} is best"]
    parameters = [trial.plan.n_parameters for trial in trials]
    span = f"{min(parameters):,}" + (f" to {max(parameters):,}" if len(set(parameters)) > 1 else "")
    together = [len(group) for group in stacks(trials) if len(group) > 1]
    alone = dict.fromkeys(why for trial in trials if trial.run is None and (why := why_solo(trial.plan)))
    lines += [f"parameters  {span}", f"to train    {len(trials) - made}" + (f" ({made} made before)" if made else "")]
    if together:
        lines.append(f"stacked     {sum(together)} of them, {' and '.join(map(str, together))} at a time")
    lines += [f"alone       because of {why}" for why in alone]
    return "\n".join(lines)


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
        own = [f"{one.mean:.6g}", f"{one.deviation:.3g}", interval, str(len(group.trials))]
        rows.append([*map(_value, group.values.values()), *own])
    more = len(groups) - MOST_ROWS
    return rows + ([[f"… and {more} more: trials.csv in its folder"]] if more > 0 else [])


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows if len(row) == len(rows[0])) for place in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() if len(row) > 1 else row[0] for row in rows]


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


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
