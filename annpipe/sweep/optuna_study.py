"""A sweep as an Optuna study: its samplers choose trials, its pruners stop them, its storages keep them.

Which choices are free, taken and done stands in a `Queue` beside it. A worker takes some, lets the sampler fill them in
where they are not those of a grid, and records in study and queue how they ended.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from annpipe.sweep.chooser import TrialChoice
from annpipe.sweep.design import Design
from annpipe.sweep.grid import repeated
from annpipe.sweep.optuna_samplers import as_choice, of_choice, pruner_of, quiet, sampler_of, space_of
from annpipe.sweep.queue import DatabaseQueue, MemoryQueue, Queue, Taken
from annpipe.sweep.results.table import Result
from annpipe.sweep.storage import BEAT_SECONDS, GRACE_SECONDS

RUNS = "annpipe.runs"
TURNS = 2  # in which a worker takes its part of the choices, so that the quicker ones can take more


class Study:
    """A study in a storage, used by one of several workers, whose sampler has a `seed` of its own."""

    def __init__(self, design: Design, storage: BaseStorage, name: str, *, seed: int, of: int = 1) -> None:
        self._design, self._storage = design, storage
        is_shared = isinstance(storage, RDBStorage) and not design.call.options.batch
        self._most = max(1, -(-design.choices // (TURNS * of))) if is_shared else design.batch
        self._most = min(self._most, design.batch)
        self._axes = design.axes if design.call.is_grid else tuple(axis for axis in design.axes if not axis.is_repeat)
        self._spaces = {axis.path: space_of(axis) for axis in self._axes}
        self._taken: dict[int, optuna.Trial] = {}
        self._recorded: set[int] = set()
        with quiet():
            self._study = _opened(design, storage, name, seed)
        self._queue = self._queue_in(storage, name)

    def _queue_in(self, storage: BaseStorage, name: str) -> Queue:
        if not isinstance(storage, RDBStorage):
            return MemoryQueue(self._design.choices)
        worker = f"{_worker(os.getpid())}{uuid.uuid4().hex[:8]}"
        grace = storage.grace_period or GRACE_SECONDS
        return DatabaseQueue(storage.engine, name, self._design.choices, worker, grace)

    @property
    def is_over(self) -> bool:
        return self._queue.is_over

    def choose(self) -> list[TrialChoice]:
        taken = self._queue.take(self._most)
        chosen = [self._choice(item) for item in taken]
        if chosen:
            trials = ((choice.index, self._taken[choice.index]) for choice in chosen)
            self._queue.note([Taken(index, trial.number, trial.params) for index, trial in trials])
        return chosen

    def _choice(self, taken: Taken) -> TrialChoice:
        design, index = self._design, taken.index
        if taken.trial is not None:  # of a worker that is gone
            self._fail(taken.trial)
        with quiet():
            trial = self._taken[index] = self._study.begun(self._spaces, self._fixed(taken))
        if design.call.is_grid:  # the very values of the axes: a storage may keep others that are equal to them
            return TrialChoice(index, index, (design.combinations[index],))
        values = {path: of_choice(space, trial.params[path]) for path, space in self._spaces.items()}
        return TrialChoice(index, index * design.repeats, tuple(repeated(values, design.axes)))

    def _fixed(self, taken: Taken) -> Mapping[str, Any] | None:
        """What the sampler does not choose: a grid's values, and those that were chosen before."""
        if taken.params is not None or not self._design.call.is_grid:
            return taken.params
        values = self._design.combinations[taken.index]
        return {path: as_choice(space, values[path]) for path, space in self._spaces.items()}

    def record(self, choice: TrialChoice, results: Sequence[Result]) -> None:
        trial = self._taken.pop(choice.index)
        metric = self._design.goal.metric
        values = [result.finals.get(metric, float("nan")) for result in results]
        state, value = TrialState.COMPLETE, sum(values) / len(values)
        if any(result.status == "PRUNED" for result in results):
            state = TrialState.PRUNED
        elif value - value != 0 or any(result.status != "FINISHED" for result in results):
            state = TrialState.FAIL
        data = json.dumps([_as_data(result) for result in results])
        self._recorded.add(choice.index)
        if not self._queue.end(choice.index, data):  # this worker was taken for dead: another has the choice
            self._recorded.discard(choice.index)
            self._fail(trial.number)
            return
        with quiet(), suppress(ValueError, RuntimeError):
            trial.set_user_attr(RUNS, data)
            self._study.tell(trial, value if state == TrialState.COMPLETE else None, state)

    def give_back(self, choice: TrialChoice) -> None:
        self._taken.pop(choice.index, None)  # gone, where the storage failed to take the results
        self._queue.free(choice.index)  # whoever takes it ends the trial, and begins another with the same values

    def _fail(self, number: int) -> None:
        """Ends a trial that no worker has any more."""
        with quiet(), suppress(ValueError, RuntimeError):
            self._study.tell(number, state=TrialState.FAIL)

    def should_prune(self, choice: TrialChoice, epoch: int, value: float) -> bool:
        if self._design.call.prune is None or value - value != 0:
            return False
        trial = self._taken[choice.index]
        with quiet():
            trial.report(value, epoch)
            return bool(trial.should_prune())

    def results_of_others(self) -> list[Result]:
        ended = [[_as_result(item) for item in json.loads(data)] for data in self._queue.ended()]
        by_index = {results[0].number // self._design.repeats: results for results in ended}
        return [result for index, results in by_index.items() if index not in self._recorded for result in results]

    @contextmanager
    def heartbeat(self) -> Iterator[Study]:
        """Inside, a thread records regularly that this worker is alive."""
        if not isinstance(self._storage, RDBStorage):
            yield self
            return
        over, seconds = threading.Event(), self._storage.get_heartbeat_interval() or BEAT_SECONDS

        def beat() -> None:
            while not over.wait(seconds):
                with suppress(Exception):  # a database that is away for a moment: the next beat counts too
                    self._queue.beat()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def release(self, worker: int) -> None:
        """What the worker with this process number had taken waits again: it is dead."""
        self._queue.release(_worker(worker))


class _Trials(optuna.Study):
    """A study of Optuna's whose waiting trials stand elsewhere: to look for one would read all trials each time."""

    fixed: Mapping[str, Any] | None = None

    def begun(self, spaces: Mapping[str, BaseDistribution], fixed: Mapping[str, Any] | None) -> optuna.Trial:
        """A new trial that runs, with values that are fixed or the sampler's."""
        self.fixed = fixed
        return self.ask(dict(spaces))

    def _pop_waiting_trial_id(self) -> int | None:
        if self.fixed is None:
            return None
        template = optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs={"fixed_params": dict(self.fixed)})
        return self._storage.create_new_trial(self._study_id, template)


def _worker(process: int) -> str:
    """How the names of workers in a process begin."""
    return f"{platform.node()}:{process}:"


def seed_of(design: Design, number: int, sweep: str | None) -> int:
    """The seed of a sampler: the spec's own for the first worker of a sweep, another for each.

    Where others may join from elsewhere, the name of the `sweep` is theirs alone.
    """
    offset = zlib.crc32(sweep.encode()) if sweep else 0
    return (design.base.head.seed + number + offset) % 2**32


def database(folder: Path) -> str:
    """The URL of the storage in a sweep's folder."""
    return f"sqlite:///{(folder / 'study.db').resolve().as_posix()}"


def _opened(design: Design, storage: BaseStorage, name: str, seed: int) -> _Trials:
    """The study of this name, which the first who asks makes."""
    direction = StudyDirection.MAXIMIZE if design.goal.higher else StudyDirection.MINIMIZE
    with suppress(optuna.exceptions.DuplicatedStudyError):
        optuna.create_study(storage=storage, study_name=name, direction=direction)
    return _Trials(name, storage, sampler=sampler_of(design, seed), pruner=pruner_of(design))


def _as_data(result: Result) -> dict[str, Any]:
    return {
        "number": result.number,
        "values": dict(result.values),
        "run": str(result.run) if result.run else None,
        "status": result.status,
        "finals": dict(result.finals),
        "is_new": result.is_new,
    }


def _as_result(data: Mapping[str, Any]) -> Result:
    run = Path(data["run"]) if data["run"] else None
    return Result(data["number"], data["values"], run, data["status"], data["finals"], data["is_new"])
