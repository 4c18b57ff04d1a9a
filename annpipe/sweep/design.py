"""What is a sweep told? Its spec with what the command line changes, and the section `sweep` that comes of both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from annpipe.errors import NotFound, Place, Problem, SpecError
from annpipe.launch import complete, read
from annpipe.plan import Draft
from annpipe.plan.plan import Plan
from annpipe.spec.axes import OVER, Axis
from annpipe.spec.sweep import SweepCall, even, n_combinations
from annpipe.sweep.axes import combinations, corners
from annpipe.sweep.trials import Goal, Request, Teller, digest_of, goal_of, once

ALL_AT_ONCE = ("grid", "random", "sobol", "halton")  # what they choose does not depend on results
MOST_PLANNED = 1024  # before the first trial
BATCH = 8  # trials that are chosen, or compared by a pruner, together


@dataclass(frozen=True)
class Design:
    """A sweep before its first trial. `base` is the plan of the spec as it stands, without a swept value."""

    request: Request
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
        """How many runs each choice of a method has: seeds and folds; a grid chooses every run by itself."""
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


def designed(request: Request, teller: Teller, drafted: Draft | None = None) -> Design:
    """Plans the spec, and what its sweep is to do; raises SpecError, NotFound where nothing is swept over."""
    drafted = drafted or read(
        request.spec, overrides=request.changes, unset=request.unset, device=request.device, over=request.over
    )
    call = drafted.spec.sweep
    if call is None or not call.axes:
        message = f"{request.spec.name} does not say what to try"
        raise NotFound(f"{message}: give it `sweep: {{over: …}}`, or {OVER}optimizer.Adam.lr=1e-3,1e-2")
    base = replace(complete(drafted, once(teller)), plots=())
    goal = _goal(base, call, drafted.spec.place("sweep", "metric"))
    _check_pruning(call, goal)
    return Design(request, call, base, goal)


def _goal(base: Plan, call: SweepCall, place: Place) -> Goal:
    try:
        return goal_of(base, call.options.metric, call.options.goal)
    except NotFound as error:
        message, _, help_ = str(error).partition("; ")
        raise SpecError([Problem("unknown-metric", message, place, help_)]) from error


def _check_pruning(call: SweepCall, goal: Goal) -> None:
    if call.prune is not None and goal.metric != "train/loss" and not goal.metric.startswith("val/"):
        message = f"`prune` compares trials while they train, and {goal.metric} is measured at their end"
        raise SpecError([Problem("sweep", message, call.prune.place, "compare them by train/loss or a metric of val")])


def _digest(base: Plan, call: SweepCall, goal: Goal) -> str:
    """What makes two sweeps the same: the numbers of their trials, and how these are chosen."""
    told = [
        digest_of(base),
        [[axis.path, list(axis.values), str(axis.span)] for axis in call.axes],
        [call.method.name, call.method.options.model_dump(), call.options.trials],
        [call.prune.name, call.prune.options.model_dump()] if call.prune else None,
        [goal.metric, goal.higher],
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
