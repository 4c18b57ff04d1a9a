"""Trains the trials of a sweep: those that differ only in values as one stack, the others one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch

from annpipe.backend.device import computing, find_device
from annpipe.errors import is_out_of_memory
from annpipe.files.memory import machine_memory
from annpipe.observer import Observer
from annpipe.plan.cost import memory
from annpipe.plan.plan import Plan
from annpipe.record.journal.events import TagsSet
from annpipe.record.journal.location import artifact_root, scrub
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.summary import final_values
from annpipe.runs.begin import TrialOf, begin
from annpipe.runs.run import Outcome, Run
from annpipe.runs.signals import StopSignal, signals_caught
from annpipe.runs.trainer import MemberTrainer, SoloTrainer, Trainer, TrainerParts
from annpipe.sweep.plan_trials import Trial
from annpipe.sweep.results.table import Result, values_in_words
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.stack import Member, StackedRuns
from annpipe.train.gears.stacked.eligibility import Reasons, stack_key
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import schedule

MAX_MEMBERS = 64  # of a stack
MEMORY_FRACTION = 0.25  # for what the members of a stack hold


def stacks(trials: Sequence[Trial]) -> list[list[Trial]]:
    """The trials in groups, each of which is trained together; alone where one cannot be, or is finished already."""
    groups: dict[str, list[Trial]] = {}
    reasons = Reasons()
    for trial in trials:
        is_alone = trial.run is not None or reasons(trial.plan) is not None
        groups.setdefault(f"alone {trial.number}" if is_alone else stack_key(trial.plan), []).append(trial)
    return [
        group[start : start + size]
        for group in groups.values()
        for size in [_max_members(group[0].plan)]
        for start in range(0, len(group), size)
    ]


def _max_members(plan: Plan) -> int:
    """So many that what they hold, apart from their data, takes a quarter of the machine's memory at most."""
    held = memory(plan)
    each = held.parameters + held.gradients + (held.optimizer or 2 * held.parameters) + (held.activations or 0)
    whole = machine_memory() or 2**33
    return max(1, min(MAX_MEMBERS, int(whole * MEMORY_FRACTION) // max(1, each)))


TrialShouldStop: TypeAlias = Callable[[int, str, int, float], bool]
"""Takes a value of the trial with a number, by its key and epoch; True ends the trial."""


@dataclass
class TrialRunner:
    """Runs the trials of a sweep: `sweep` is its folder's name, `source` the tags of its source.

    `threads` are those that a worker has where the spec leaves them to be measured; without them the first trial that
    trains alone measures, and those after it take the same. `on_begin` gets the folder of each run, once its journal
    says what it is.
    """

    sweep: str
    uri: str
    project: Path
    observer: Observer
    source: Mapping[str, str]
    threads: int | None = None
    on_begin: Callable[[Path], None] = lambda folder: None
    _measured: int | None = field(default=None, init=False)

    def results(
        self, group: Sequence[Trial], should_stop: TrialShouldStop | None = None
    ) -> Iterator[tuple[Result, int | None]]:
        """The result of each trial of a group, and the signal that stopped it, if one did."""
        if group[0].run is not None:
            yield _reused(group[0]), None
        elif len(group) == 1:
            yield self._alone(group[0], should_stop)
        else:
            yield from self._together(group, should_stop)

    def _begin(
        self, trial: Trial, trainer: Trainer, stop_signal: StopSignal, should_stop: TrialShouldStop | None
    ) -> Run:
        run = begin(
            trial.plan,
            new_run_folder(self.project, trial.plan.head.name),
            _TrialObserver(self.observer),
            tracking_uri=self.uri,
            artifact_root=artifact_root(self.uri, self.project),
            trainer=trainer,
            trial=TrialOf(
                self.sweep,
                values_in_words(trial.values),
                self.source,
                partial(should_stop, trial.number) if should_stop else None,
                stop_signal,
                tuple(trial.values),
            ),
        )
        self.on_begin(run.folder)
        return run

    def _alone(self, trial: Trial, should_stop: TrialShouldStop | None) -> tuple[Result, int | None]:
        threads = (self.threads or self._measured) if trial.plan.device.threads == "auto" else None
        run = self._begin(trial, SoloTrainer(threads), StopSignal(), should_stop)
        outcome = run.go()
        self._measured = torch.get_num_threads()
        return self._result(trial, run, outcome)

    def _result(self, trial: Trial, run: Run, outcome: Outcome) -> tuple[Result, int | None]:
        if outcome.error is not None:
            self.observer.event(f"trial {trial.number + 1} failed: {scrub(str(outcome.error))}")
        status = "PRUNED" if outcome.pruned_at is not None else outcome.status
        finals = outcome.values if status == "FINISHED" else {}  # the latest values of an unfinished run are not final
        return Result(trial.number, trial.values, run.folder, status, finals), outcome.signal

    def _together(
        self, group: Sequence[Trial], should_stop: TrialShouldStop | None
    ) -> Iterator[tuple[Result, int | None]]:
        parts = _built(group)
        if parts is None:
            for trial in group:
                yield self._alone(trial, should_stop)
            return
        for alike in _alike(group, parts):
            if len(alike) == 1:
                results = [self._alone(alike[0][0], should_stop)]
            else:
                results = self._stacked([trial for trial, _ in alike], [parts for _, parts in alike], should_stop)
            yield from results
            if any(signal is not None for _, signal in results):
                return

    def _stacked(
        self, group: Sequence[Trial], parts: Sequence[Parts], should_stop: TrialShouldStop | None
    ) -> list[tuple[Result, int | None]]:
        """Runs the loops of all trials over one stack."""
        plans = [trial.plan for trial in group]
        schedules = [schedule(plan, len(part.rows["train"])) for plan, part in zip(plans, parts, strict=True)]
        runs: dict[Member, Run] = {}

        def on_shift(shift: Shift) -> None:
            self.observer.event(shift.message)
            for member, run in runs.items():
                if not member.is_gone:
                    run.journal.write(TagsSet(tags=dict(shift.tags)))

        stop_signal, device = StopSignal(), plans[0].device
        with computing(device.precision, deterministic=device.deterministic):
            stack = StackedRuns(plans, parts, schedules, on_shift)
            threads = stack.measure((self.threads or "auto") if device.threads == "auto" else device.threads)
            for trial, part, steps, member in zip(group, parts, schedules, stack.members, strict=True):
                trainer = MemberTrainer(TrainerParts(part, steps, member, threads))
                runs[member] = self._begin(trial, trainer, stop_signal, should_stop)
            with signals_caught(stop_signal):
                outcomes = stack.together(lambda member: runs[member].go())
        results = []
        for trial, run, outcome in zip(group, runs.values(), outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(self._result(trial, run, outcome))
        return results


def _built(group: Sequence[Trial]) -> list[Parts] | None:
    """The parts of all trials; None where the memory does not hold those of all at once."""
    device = group[0].plan.device
    with computing(device.precision, deterministic=device.deterministic) as dtype:
        try:
            return [build(trial.plan, find_device(device.type), dtype) for trial in group]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None


def _alike(group: Sequence[Trial], parts: Sequence[Parts]) -> list[list[tuple[Trial, Parts]]]:
    """The trials that can be stacked together, now that their parts are there; alone what cannot."""
    reasons = Reasons()
    alike: dict[str, list[tuple[Trial, Parts]]] = {}
    for trial, part in zip(group, parts, strict=True):
        key = f"alone {trial.number}" if reasons(trial.plan, part) else stack_key(trial.plan, part)
        alike.setdefault(key, []).append((trial, part))
    return list(alike.values())


class _TrialObserver(Observer):
    """Passes on what a person should read of a trial, but not its progress: the sweep shows each trial as it ends."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def event(self, message: str) -> None:
        self._observer.event(message)


def _reused(trial: Trial) -> Result:
    """The result of a trial that was trained before, out of its journal."""
    assert trial.run is not None
    return Result(trial.number, trial.values, trial.run, "FINISHED", final_values(trial.run), is_new=False)
