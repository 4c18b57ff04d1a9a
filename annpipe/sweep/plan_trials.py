"""Spec and values → the trials of a sweep: a plan each, and the run that is there of it already, if there is one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from annpipe.datasets.on_disk.passes import PassCache
from annpipe.datasets.steps.make import make_data
from annpipe.draft.metric_keys import large_is_good, run_metrics
from annpipe.errors import NotFound, Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.observer import Watcher
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.shape_cache import ShapeCache
from annpipe.record.journal import journal
from annpipe.record.journal.project import run_folders
from annpipe.record.journal.seal import is_own
from annpipe.registry import Registry
from annpipe.runs.launch import complete, read
from annpipe.runs.provenance import DataDigests, facts_key, file_digests, named_files, run_facts
from annpipe.spec.sections.axes import Axis
from annpipe.spec.yaml.nodes import Node, ScalarNode


class Teller(Protocol):
    """Who hears what a person should read."""

    def event(self, message: str) -> None: ...
    def warn(self, problem: Problem) -> None: ...


@dataclass(frozen=True)
class Trial:
    """One combination: its values by path, its plan, what makes it the same trial again, its run where it has one."""

    number: int
    values: Mapping[str, Any]
    plan: Plan
    key: str
    run: Path | None = None


@dataclass(frozen=True)
class Goal:
    """The final value by which trials are compared, and whether large ones are good."""

    metric: str
    higher: bool

    def best(self, values: Mapping[int, float]) -> int | None:
        """The number of the best trial; None where none has a finite value."""
        finite = {number: value for number, value in values.items() if value - value == 0}
        if not finite:
            return None
        return (max if self.higher else min)(finite, key=lambda number: finite[number])


@dataclass(frozen=True)
class Request:
    """A spec, and what the command line changes of it: as `--set`, `--unset`, `--device` and `--over` say it."""

    spec: Path
    changes: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    device: str | None = None
    over: tuple[tuple[ScalarNode, Node], ...] = ()


@dataclass
class Planner:
    """Makes the trials of a sweep: what was asked for, with the values of each."""

    request: Request
    axes: Sequence[Axis]
    teller: Teller
    _registry: Registry = field(default_factory=Registry.installed, init=False)
    _digests: dict[str, DataDigests] = field(default_factory=dict, init=False)
    _known: dict[str, Trial] = field(default_factory=dict, init=False)
    _shaped: ShapeCache = field(default_factory=ShapeCache, init=False)
    _passes: PassCache = field(default_factory=PassCache, init=False)

    def __post_init__(self) -> None:
        self._quiet = once(self.teller)

    def check(self, every: Sequence[Mapping[str, Any]]) -> None:
        """Plans all of these, and keeps the plans; raises SpecError."""
        for values in every:
            self._known[_as_key(values)] = self.trial(0, values)

    def trial(self, number: int, values: Mapping[str, Any]) -> Trial:
        """The trial with these values by path; raises SpecError."""
        if (known := self._known.get(_as_key(values))) is not None:
            return replace(known, number=number, values=values)
        request = self.request
        drafted = read(
            request.spec,
            registry=self._registry.copy(),
            overrides=request.changes,
            unset=request.unset,
            device=request.device,
            values=[(axis.path, axis.node(values[axis.path])) for axis in self.axes],
        )
        plan = replace(complete(drafted, self._quiet, self._shaped, self._passes), plots=())
        return Trial(number, values, plan, digest_of(plan, self._digests))

    @property
    def digest(self) -> str:
        """The same for sweeps whose checked trials are the same: their plans, and all that these take rows from."""
        keys = sorted(trial.key for trial in self._known.values())
        files: dict[str, str] = {}
        if any(
            axis.path.partition(".")[0] == "data" for axis in self.axes
        ):  # of which not every combination is checked
            for trial in self._known.values():
                files |= file_digests(named_files([trial.plan.data]))
        return hashlib.sha256(json.dumps([keys, files], sort_keys=True).encode()).hexdigest()[:12]


def _as_key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def digest_of(plan: Plan, known: dict[str, DataDigests] | None = None) -> str:
    """What decides a run's numbers, as `run_facts` has it. `known` keeps the digests of data."""
    known = {} if known is None else known
    said = json.dumps([plan.data.to_data(), plan.head.seed, plan.split.columns], sort_keys=True)
    if said not in known:
        known[said] = DataDigests.of(make_data(plan.data, plan.head.seed, plan.split.columns))
    return facts_key(run_facts(plan, known[said]))


def once(teller: Teller) -> Watcher:
    """A watcher that shows each warning once, though many plans have it."""
    return _Once(teller)


class _Once:
    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._seen: set[str] = set()

    def start(self, total_steps: int, steps_per_epoch: int, done: int) -> None:
        """Nothing is started."""

    def progress(self, step: int, loss: float) -> None:
        """Nothing goes on."""

    def event(self, message: str) -> None:
        self._teller.event(message)

    def warn(self, problem: Problem) -> None:
        if problem.message not in self._seen:
            self._seen.add(problem.message)
            self._teller.warn(problem)


class Made:
    """The runs of a project, by what decides their numbers. What a run was begun with is read once.

    Runs of versions that did not write all of it down are no trial's: what they left out may have been something else.
    """

    def __init__(self, project: Path, tell: Callable[[str], None] = lambda message: None) -> None:
        self._project = project
        self._tell = tell
        self._foreign: set[Path] = set()
        self._tags: dict[Path, Mapping[str, str]] = {}

    def of(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials with the finished runs that are the same, by all facts of them."""
        wanted = {trial.key.partition("/")[0] for trial in trials}
        runs = run_folders(self._project)
        made = {key: folder for folder in runs if (key := self._key_of(folder, wanted)) is not None}
        return [replace(trial, run=made.get(trial.key)) for trial in trials]

    def _key_of(self, folder: Path, wanted: set[str]) -> str | None:
        """As `_key`; None also for a run that cannot be read, or whose results are damaged: it is made anew."""
        try:
            key = self._key(folder, wanted)
            return None if key is None or journal.damaged_lines(folder) else key
        except OSError:
            return None

    def _key(self, folder: Path, wanted: set[str]) -> str | None:
        """The key of a finished run with one of the wanted plans."""
        if folder not in self._tags:
            first = next(journal.read(folder), None)
            if first is None:  # it is being begun
                return None
            self._tags[folder] = first.get("tags") or {}
        tags = self._tags[folder]
        digest = tags.get("annpipe.plan")
        if digest not in wanted or journal.status(folder) != "FINISHED" or not self._is_own(folder):
            return None
        facts = next(
            (one["facts"] for one in journal.read(folder) if one["event"] == "dataset" and "facts" in one), None
        )
        return facts_key(facts) if facts else None

    def _is_own(self, folder: Path) -> bool:
        """Whether the user made the run: what others send is no result of the project's."""
        if is_own(folder):
            return True
        if folder not in self._foreign:
            self._foreign.add(folder)
            self._tell(
                f"{folder.name} could be one of the trials, but is not known as a run that you made with annpipe here: "
                f"the trial is trained anew; `annpipe resume {folder.name} --trust` makes the run your own"
            )
        return False


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
