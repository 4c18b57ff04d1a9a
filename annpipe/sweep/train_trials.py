"""The trials of a sweep are trained: those that differ in values alone as one stack, the others one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from annpipe.backend.device import computing, find_device
from annpipe.errors import is_out_of_memory
from annpipe.files.memory import machine_memory
from annpipe.plan.cost import memory
from annpipe.plan.plan import Plan
from annpipe.record.journal.location import artifact_root, scrub
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.summary import final_values
from annpipe.runs.run import Made, Outcome, Run, begin
from annpipe.runs.signals import signals_noted
from annpipe.sweep.plan_trials import Teller, Trial
from annpipe.sweep.table import Result, said
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.stack import StackedRuns
from annpipe.train.gears.stacked.eligibility import Reasons, stack_key
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import schedule

MOST_MEMBERS = 64  # of a stack
SHARE = 0.25  # of the memory, for what its members hold


def stacks(trials: Sequence[Trial]) -> list[list[Trial]]:
    """The trials in groups, each of which is trained together; alone where one cannot be, or is made already."""
    groups: dict[str, list[Trial]] = {}
    reasons = Reasons()
    for trial in trials:
        is_alone = trial.run is not None or reasons(trial.plan) is not None
        groups.setdefault(f"alone {trial.number}" if is_alone else stack_key(trial.plan), []).append(trial)
    return [
        group[start : start + most]
        for group in groups.values()
        for most in [_most_members(group[0].plan)]
        for start in range(0, len(group), most)
    ]


def _most_members(plan: Plan) -> int:
    """So many that what they hold, apart from their data, takes a share of the machine's memory at most."""
    held = memory(plan)
    each = held.parameters + held.gradients + (held.optimizer or 2 * held.parameters) + (held.activations or 0)
    whole = machine_memory() or 2**33
    return max(1, min(MOST_MEMBERS, int(whole * SHARE) // max(1, each)))


@dataclass
class Training:
    """How the trials of a sweep are run: `sweep` is its folder's name, `origin` the tags of its source.

    `threads` are those that a worker has where the spec leaves them to be measured; without them the first trial that
    goes alone measures, and those after it take the same. `judge` hears each value of a trial by its number, and may
    end it early. `begun` hears the folder of each run, once its journal says what it is.
    """

    sweep: str
    uri: str
    project: Path
    teller: Teller
    origin: Mapping[str, str]
    judge: Callable[[int, str, int, float], bool] | None = None
    threads: int | None = None
    begun: Callable[[Path], None] = lambda folder: None
    _measured: int | None = field(default=None, init=False)

    def results(self, group: Sequence[Trial]) -> Iterator[tuple[Result, int | None]]:
        """What became of each trial of a group, and the signal that stopped it, if one did."""
        if group[0].run is not None:
            yield _reused(group[0]), None
        elif len(group) == 1:
            yield self._alone(group[0])
        else:
            yield from self._together(group)

    def _begun(self, trial: Trial) -> Run:
        run = begin(
            trial.plan,
            new_run_folder(self.project, trial.plan.head.name),
            _Quiet(self.teller),
            tracking_uri=self.uri,
            artifact_root=artifact_root(self.uri, self.project),
            sweep=self.sweep,
            origin=self.origin,
            name=said(trial.values),
        )
        if (judge := self.judge) is not None:
            run.judge = lambda key, epoch, value: judge(trial.number, key, epoch, value)
        self.begun(run.folder)
        return run

    def _alone(self, trial: Trial) -> tuple[Result, int | None]:
        run = self._begun(trial)
        run.threads = (self.threads or self._measured) if trial.plan.device.threads == "auto" else None
        outcome = run.go(_nothing)
        self._measured = torch.get_num_threads()
        return self._ended(trial, run, outcome)

    def _ended(self, trial: Trial, run: Run, outcome: Outcome) -> tuple[Result, int | None]:
        if outcome.error is not None:
            self.teller.event(f"trial {trial.number + 1} failed: {scrub(str(outcome.error))}")
        status = "PRUNED" if outcome.pruned_at is not None else outcome.status
        finals = outcome.values if status == "FINISHED" else {}  # what a run had on its way is no final value
        return Result(trial.number, trial.values, run.folder, status, finals), outcome.signal

    def _together(self, group: Sequence[Trial]) -> Iterator[tuple[Result, int | None]]:
        device = group[0].plan.device
        with computing(device.precision, deterministic=device.deterministic) as dtype:
            try:
                parts = [build(trial.plan, find_device(device.type), dtype) for trial in group]
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                parts = []  # one by one they may have enough
        if not parts:
            for trial in group:
                yield self._alone(trial)
            return
        for alike in _alike(group, parts):
            trials = [trial for trial, _ in alike]
            if len(trials) == 1:
                ended = [self._alone(trials[0])]
            else:
                with computing(device.precision, deterministic=device.deterministic):
                    outcomes, runs = self._stacked(trials, [one for _, one in alike])
                ended = []
                for trial, run, outcome in zip(trials, runs, outcomes, strict=True):
                    if isinstance(outcome, BaseException):
                        raise outcome
                    ended.append(self._ended(trial, run, outcome))
            yield from ended
            if any(signal is not None for _, signal in ended):
                return

    def _stacked(
        self, group: Sequence[Trial], parts: Sequence[Parts]
    ) -> tuple[list[Outcome | BaseException], list[Run]]:
        """Runs the loops of all trials over one stack."""
        plans = [trial.plan for trial in group]
        steps = [schedule(plan, len(one.rows["train"])) for plan, one in zip(plans, parts, strict=True)]
        runs = [self._begun(trial) for trial in group]

        def tell(shift: Shift) -> None:
            self.teller.event(shift.message)
            for run, member in zip(runs, stack.members, strict=True):
                if not member.is_gone:
                    run.journal.write("tags", tags=dict(shift.tags))

        stack = StackedRuns(plans, parts, steps, tell)
        given = plans[0].device.threads
        threads = stack.measure((self.threads or given) if given == "auto" else given)
        for run, one, step, member in zip(runs, parts, steps, stack.members, strict=True):
            run.made = Made(one, step, member)
            run.threads = threads
        of = {id(member): run for member, run in zip(stack.members, runs, strict=True)}
        with signals_noted(_All(runs)):
            return stack.together(lambda member: of[id(member)].go(_nothing)), runs


def _alike(group: Sequence[Trial], parts: Sequence[Parts]) -> list[list[tuple[Trial, Parts]]]:
    """The trials that can be stacked together, now that their parts are there; alone what cannot."""
    reasons = Reasons()
    alike: dict[str, list[tuple[Trial, Parts]]] = {}
    for trial, one in zip(group, parts, strict=True):
        key = f"alone {trial.number}" if reasons(trial.plan, one) else stack_key(trial.plan, one)
        alike.setdefault(key, []).append((trial, one))
    return list(alike.values())


class _All:
    """Passes the signal that stops a stack on to each of its runs, whose loops are in threads."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    @property
    def signal(self) -> int | None:
        return self._runs[0].stopped_by

    @signal.setter
    def signal(self, number: int | None) -> None:
        for run in self._runs:
            run.stopped_by = number


class _Quiet:
    """A trial shows no progress of its own, only what a person should read."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def progress(self, step: int, loss: float) -> None:
        """Nothing: the sweep shows each trial as it ends."""

    def event(self, message: str) -> None:
        self._teller.event(message)


def _nothing(steps: object, device: str, done: int) -> None:
    """Nobody hears of the start of a trial."""


def _reused(trial: Trial) -> Result:
    """The result of a trial that has been made before, out of its journal."""
    assert trial.run is not None
    return Result(trial.number, trial.values, trial.run, "FINISHED", final_values(trial.run), is_new=False)
