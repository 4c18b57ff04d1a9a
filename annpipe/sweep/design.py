"""The design of a sweep before its first trial: its axes, its method, its goal, and how many trials it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from annpipe.draft.metric_keys import large_is_good, run_metrics
from annpipe.draft.sections import Draft
from annpipe.errors import NotFound, Place, Problem, SpecError
from annpipe.errors.suggest import did_you_mean
from annpipe.observer import SILENT, Observer
from annpipe.plan.plan import Plan
from annpipe.runs.launch import complete
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.axes import COUNTED, OVER, SPLIT, Axis
from annpipe.spec.sections.sweep import SweepCall, even, n_combinations
from annpipe.sweep.grid import combinations, corners
from annpipe.sweep.plan_trials import Planner, WarnOnce, digest_of
from annpipe.sweep.results.table import Goal

ALL_AT_ONCE = ("grid", "random", "sobol", "halton")  # what they choose does not depend on results
MOST_PLANNED = 1024  # before the first trial
BATCH = 8  # trials that are chosen, or compared by a pruner, together


@dataclass(frozen=True)
class Design:
    """A sweep before its first trial. `base` is the plan of the spec as it stands, without a swept value."""

    source: SpecSource
    call: SweepCall
    base: Plan
    goal: Goal

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What is swept over, ranges of a grid cut into points."""
        return even(self.call.axes, self.call.options.trials) if self.call.is_grid else self.call.axes

    @cached_property
    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of a grid, in their order."""
        return combinations(self.axes)

    @property
    def every_kind(self) -> list[dict[str, Any]]:
        """Values in which whatever is wrong with a trial shows: all of a grid, unless they are very many; else each
        value and each end of a range once."""
        is_whole = self.call.is_grid and self.choices <= MOST_PLANNED
        return self.combinations if is_whole else corners(self.axes)

    @cached_property
    def digest(self) -> str:
        """The same for sweeps whose trials are the same and are chosen in the same way; it makes the data."""
        return _digest(self.base, self.call, self.goal)

    @property
    def repeats(self) -> int:
        """How many runs each choice of a method has: seeds and splits; a grid chooses every run by itself."""
        return 1 if self.call.is_grid else n_combinations(self.call.repeats)

    @property
    def choices(self) -> int:
        """How many choices there are to make; each has `repeats` trials."""
        if self.call.is_grid:
            return len(self.combinations)
        return max(1, (self.call.options.trials or 1) // self.repeats)

    @property
    def batch(self) -> int:
        """How many choices are made at a time."""
        waits = self.call.method.name not in ALL_AT_ONCE or self.call.prune is not None
        return self.call.options.batch or (BATCH if waits else self.choices)


def design_sweep(source: SpecSource, observer: Observer, drafted: Draft | None = None) -> Design:
    """Plans the spec without its swept values, and reads what its sweep is to do; raises SpecError, and NotFound where
    nothing is swept over."""
    drafted = drafted or source.draft()
    call = drafted.spec.sweep
    if call is None or not call.axes:
        message = f"{source.spec.name} does not say what to try"
        raise NotFound(f"{message}: give it `sweep: {{over: …}}`, or {OVER}optimizer.Adam.lr=1e-3,1e-2")
    base = replace(complete(drafted, WarnOnce(observer)), plots=())
    plans = _of_splits(base, source, call)
    goal = _goal(plans, call, drafted.spec.place("sweep", "metric"))
    _check_pruning(call, goal)
    if (
        call.options.metric is None
        and "val" not in plans[0].measured_parts
        and (plans[0].split.by or plans[0].split.files)
    ):
        observer.event(f"no rows are held out for val: trials are compared by {goal.metric}")
    return Design(source, call, base, goal)


def _of_splits(base: Plan, source: SpecSource, call: SweepCall) -> list[Plan]:
    """Plans with each of the splits that trials have, where that decides which parts have rows."""
    drawn = {path for path in COUNTED if path != "seed"}
    others = [axis for axis in call.axes if axis.path.partition(".")[0] == "data" and axis.path not in drawn]
    if not base.split.by and not any(axis.path == "data" or axis.path.startswith(SPLIT) for axis in others):
        return [base]
    planner = Planner(source, call.axes, SILENT)  # its warnings are shown when the trials are planned
    return [planner.trial(0, values).plan for values in corners(call.axes)] if others else [base]


def goal_of(plans: Sequence[Plan], metric: str | None, goal: str | None) -> Goal:
    """What trials like these are compared by; raises NotFound for a metric that one of them will not have.

    Left out, it is the loss on validation rows; where there are none, on the test rows if the split names these itself
    (by a column or files), else on the train rows.
    """
    plan = plans[0]
    splits = [part for part in plan.measured_parts if all(part in other.measured_parts for other in plans)]
    metrics = run_metrics(plan.metrics, plan.outputs)
    keys = [f"{split}/{key}" for split in splits for key in ("loss", *metrics)]
    is_named = all(other.split.by or other.split.files for other in plans)
    chosen = metric or next(
        f"{part}/loss" for part in ("val", *(["test"] if is_named else []), "train") if part in splits
    )
    if chosen not in keys:
        hint = did_you_mean(chosen, keys) or f"a trial ends with {', '.join(keys)}"
        raise NotFound(f"no trial has the metric '{chosen}'; {hint}")
    if goal is not None:
        return Goal(chosen, goal == "maximize")
    component = metrics.get(chosen.partition("/")[2])
    return Goal(chosen, component is not None and large_is_good(component[0]))


def _goal(plans: Sequence[Plan], call: SweepCall, place: Place) -> Goal:
    try:
        return goal_of(plans, call.options.metric, call.options.goal)
    except NotFound as error:
        message, _, help_ = str(error).partition("; ")
        raise SpecError([Problem("unknown-metric", message, place, help_)]) from error


def _check_pruning(call: SweepCall, goal: Goal) -> None:
    if call.prune is not None and goal.metric != "train/loss" and not goal.metric.startswith("val/"):
        message = f"`prune` compares trials while they train, and {goal.metric} is measured at their end"
        raise SpecError([Problem("sweep", message, call.prune.place, "compare them by train/loss or a metric of val")])


def _digest(base: Plan, call: SweepCall, goal: Goal) -> str:
    """What makes two sweeps the same: the numbers of their trials, and how these are chosen."""
    facts = [
        digest_of(base),
        [[axis.path, list(axis.values), str(axis.span)] for axis in call.axes],
        [call.method.name, call.method.options.model_dump(), call.options.trials],
        [call.prune.name, call.prune.options.model_dump()] if call.prune else None,
        [goal.metric, goal.higher],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
