"""Plans the trials of a sweep: from the spec and the values of a trial to its plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from annpipe.datasets.request import PassCache
from annpipe.datasets.steps.make import make_data
from annpipe.errors import Problem
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.shape_cache import ShapeCache
from annpipe.registry.registry import Registry
from annpipe.runs.launch import complete
from annpipe.runs.provenance import DataDigests, facts_key, file_digests, named_files, run_facts
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.axes import Axis


@dataclass(frozen=True)
class Trial:
    """One combination of values, by path, with its plan. Trials of the same `key` have the same results.

    `run` is the folder of the finished run with these results, where there is one.
    """

    number: int
    values: Mapping[str, Any]
    plan: Plan
    key: str
    run: Path | None = None


@dataclass
class Planner:
    """Plans the trials of a sweep, and keeps the plans that were checked."""

    source: SpecSource
    axes: Sequence[Axis]
    observer: Observer
    _registry: Registry = field(default_factory=Registry.installed, init=False)
    _digests: dict[str, DataDigests] = field(default_factory=dict, init=False)
    _known: dict[str, Trial] = field(default_factory=dict, init=False)
    _shape_cache: ShapeCache = field(default_factory=ShapeCache, init=False)
    _passes: PassCache = field(default_factory=PassCache, init=False)

    def __post_init__(self) -> None:
        self._quiet = WarnOnce(self.observer)

    def check(self, combinations: Sequence[Mapping[str, Any]]) -> None:
        """Plans all of these combinations, and keeps the plans; raises SpecError."""
        for values in combinations:
            self._known[_as_key(values)] = self.trial(0, values)

    def trial(self, number: int, values: Mapping[str, Any]) -> Trial:
        """The trial with these values by path; raises SpecError."""
        if (known := self._known.get(_as_key(values))) is not None:
            return replace(known, number=number, values=values)
        trial_values = [(axis.path, axis.node(values[axis.path])) for axis in self.axes]
        drafted = replace(self.source, over=()).draft(self._registry.copy(), trial_values)
        plan = replace(complete(drafted, self._quiet, self._shape_cache, self._passes), plots=())
        return Trial(number, values, plan, digest_of(plan, self._digests))

    @property
    def digest(self) -> str:
        """The same for sweeps whose checked trials are the same: their plans, and all that these take rows from."""
        keys = sorted(trial.key for trial in self._known.values())
        files: dict[str, str] = {}
        if any(axis.path.partition(".")[0] == "data" for axis in self.axes):  # not all combinations are checked
            for trial in self._known.values():
                files |= file_digests(named_files([trial.plan.data]))
        return hashlib.sha256(json.dumps([keys, files], sort_keys=True).encode()).hexdigest()[:12]


def _as_key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def digest_of(plan: Plan, known: dict[str, DataDigests] | None = None) -> str:
    """A text for all that decides the results of a plan's run, as `run_facts` has it. `known` keeps digests of data."""
    known = {} if known is None else known
    data = json.dumps([plan.data.to_data(), plan.head.seed, plan.split.columns], sort_keys=True)
    if data not in known:
        known[data] = DataDigests.of(make_data(plan.data, plan.head.seed, plan.split.columns))
    return facts_key(run_facts(plan, known[data]))


class WarnOnce(Observer):
    """Passes on each warning once, though many plans have it, and every event."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._messages: set[str] = set()

    def event(self, message: str) -> None:
        self._observer.event(message)

    def warn(self, problem: Problem) -> None:
        if problem.message not in self._messages:
            self._messages.add(problem.message)
            self._observer.warn(problem)
