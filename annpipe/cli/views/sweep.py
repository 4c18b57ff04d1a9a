"""The text of `annpipe sweep`: what it will do, and what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from annpipe.observer import Observer
    from annpipe.sweep.design import Design
    from annpipe.sweep.plan_trials import Trial
    from annpipe.sweep.results.table import SweepResult
    from annpipe.sweep.sweep import SweepEnd

MOST_ROWS = 10  # of a table in the terminal


def plan_text(design: Design, observer: Observer) -> str:
    """What a sweep would do."""
    from annpipe.record.journal.project import find_project
    from annpipe.sweep.finished_runs import FinishedRuns
    from annpipe.sweep.grid import corners
    from annpipe.sweep.plan_trials import Planner

    call, total = design.call, design.choices * design.repeats
    planner = Planner(design.source, design.axes, observer)
    values = design.combinations if call.is_grid else corners(design.axes)
    planned = [planner.trial(number, combination) for number, combination in enumerate(values)]
    trials = FinishedRuns(find_project()).match(planned)
    lines = [f"{design.base.head.name}: {total} trials", ""]
    width = max(len(axis.path) for axis in design.axes)
    lines += [f"  {axis.path:<{width}}  {axis.in_words}" for axis in design.axes]
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
    counts = [[multiply_adds(layer) for layer in trial.plan.model] for trial in trials[:16]]
    span = _span([sum(count for count in layers if count is not None) for layers in counts])
    return [f"cost        {total} times {' or '.join(lengths)}, of {span} multiply-adds for a row that passes forwards"]


def _how(design: Design) -> str:
    name = design.call.method.name
    options = design.call.method.options.model_dump(exclude_unset=True)
    method = f"{name} ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else name
    repeats = f", each choice with {design.repeats} repetitions" if design.repeats > 1 else ""
    at_a_time = f", {design.batch} choices at a time" if design.batch < design.choices else ""
    return f"{method}{repeats}{at_a_time}"


def _to_train(design: Design, trials: Sequence[Trial]) -> list[str]:
    """What is trained together, and what alone and why; of chosen trials only examples are known."""
    from annpipe.sweep.train_trials import stacks
    from annpipe.train.gears.stacked.eligibility import Reasons

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


def as_text(ended: SweepEnd) -> str:
    """The best trials, what repetitions say, and what comes next."""
    from annpipe.cli.views.run import record_text, short_path
    from annpipe.cli.views.text import aligned

    swept = ended.swept
    lines = [f"{'KILLED' if ended.signal is not None else 'FINISHED'}  {swept.name} sweep, {len(swept.results)} trials"]
    lines.append(f"  run     {short_path(ended.folder)}")
    lines.append(f"  record  {record_text(ended.record, ended.wait_seconds)}")
    lines += [f"  figure  {short_path(figure)}" for figure in sorted((ended.folder / "artifacts" / "plots").glob("*"))]
    report = ended.folder / "report.html"
    lines += [f"  report  {short_path(report)}"] if report.is_file() else []
    lines += ["", *aligned(_groups(swept) or _trials(swept))]
    if swept.best is not None:
        best = ended.folder.name
        lines += ["", "next:", f"  annpipe best {best} > best.yaml", f"  annpipe compare {best}", "  annpipe ui"]
    return "\n".join(lines)


def _trials(swept: SweepResult) -> list[list[str]]:
    from annpipe.errors import one_line

    rows = [[*(one_line(axis.path) for axis in swept.axes), one_line(swept.goal.metric), "run"]]
    for result in swept.ordered()[:MOST_ROWS]:
        value = result.finals.get(swept.goal.metric)
        outcome = result.status if value is None else f"{value:.6g}"
        rows.append([*map(value_in_words, result.values.values()), outcome, result.run.name if result.run else ""])
    more = len(swept.results) - MOST_ROWS
    return rows + ([[f"… and {more} more: trials.csv in its folder"]] if more > 0 else [])


def _groups(swept: SweepResult) -> list[list[str]]:
    groups = swept.groups
    if not groups:
        return []
    metric = value_in_words(swept.goal.metric)
    rows = [[*map(value_in_words, groups[0].values), f"mean {metric}", "std", "95 % interval", "trials"]]
    for group in groups[:MOST_ROWS]:
        spread = group.spread
        interval = f"{spread.mean - spread.half_width:.6g} … {spread.mean + spread.half_width:.6g}"
        count = str(spread.n) if spread.n == len(group.trials) else f"{spread.n} of {len(group.trials)}"
        cells = [f"{spread.mean:.6g}", f"{spread.deviation:.3g}", interval, count]
        rows.append([*map(value_in_words, group.values.values()), *cells])
    more = len(groups) - MOST_ROWS
    return rows + ([[f"… and {more} more: trials.csv in its folder"]] if more > 0 else [])


def value_in_words(value: Any) -> str:
    from annpipe.errors import one_line
    from annpipe.spec.sections.axes import in_words

    return one_line(in_words(value))


def as_json_text(ended: SweepEnd) -> str:
    """Everything for programs."""
    from annpipe.cli.problems import strict

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
