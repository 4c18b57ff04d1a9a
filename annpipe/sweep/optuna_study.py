"""The trials of a sweep as a study of Optuna's: chosen by its samplers, stopped by its pruners, kept in its storages.

Which choices are free, taken and done stands in a `Queue` beside it. A worker takes some, lets the sampler fill them in
where they are not those of a grid, and tells study and queue how they ended.
"""

from __future__ import annotations

import json
import os
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

from annpipe.sweep.chooser import Choice
from annpipe.sweep.design import Design
from annpipe.sweep.grid import repeated
from annpipe.sweep.optuna_samplers import as_choice, of_choice, pruner_of, quiet, sampler_of, space_of
from annpipe.sweep.queue import DatabaseQueue, MemoryQueue, Queue, Taken
from annpipe.sweep.storage import BEAT_SECONDS, GRACE_SECONDS
from annpipe.sweep.table import Result

RUNS = "annpipe.runs"
TURNS = 2  # in which a worker takes its share, so that the quicker ones can take more


class Study:
    """A study in a storage, seen by one of several workers, whose sampler has a `seed` that no other has."""

    def __init__(self, design: Design, storage: BaseStorage, name: str, *, seed: int, of: int = 1) -> None:
        self._design, self._storage = design, storage
        is_shared = isinstance(storage, RDBStorage) and not design.call.options.batch
        self._most = max(1, -(-design.choices // (TURNS * of))) if is_shared else design.batch
        self._most = min(self._most, design.batch)
        self._axes = design.axes if design.call.is_grid else tuple(axis for axis in design.axes if not axis.is_repeat)
        self._spaces = {axis.path: space_of(axis) for axis in self._axes}
        self._taken: dict[int, optuna.Trial] = {}
        self._seen: set[int] = set()
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

    def choose(self) -> list[Choice]:
        taken = self._queue.take(self._most)
        chosen = [self._choice(one) for one in taken]
        if chosen:
            trials = ((choice.place, self._taken[choice.place]) for choice in chosen)
            self._queue.note([Taken(place, trial.number, trial.params) for place, trial in trials])
        return chosen

    def _choice(self, taken: Taken) -> Choice:
        design, place = self._design, taken.place
        if taken.trial is not None:  # of a worker that is gone
            self._fail(taken.trial)
        with quiet():
            trial = self._taken[place] = self._study.begun(self._spaces, self._fixed(taken))
        if design.call.is_grid:  # the very values of the axes: a storage may keep others that are equal to them
            return Choice(place, place, (design.combinations[place],))
        values = {path: of_choice(space, trial.params[path]) for path, space in self._spaces.items()}
        return Choice(place, place * design.repeats, tuple(repeated(values, design.axes)))

    def _fixed(self, taken: Taken) -> Mapping[str, Any] | None:
        """What the sampler does not choose: a grid's values, and those that were chosen before."""
        if taken.params is not None or not self._design.call.is_grid:
            return taken.params
        values = self._design.combinations[taken.place]
        return {path: as_choice(space, values[path]) for path, space in self._spaces.items()}

    def told(self, choice: Choice, results: Sequence[Result]) -> None:
        trial = self._taken.pop(choice.place)
        metric = self._design.goal.metric
        values = [result.finals.get(metric, float("nan")) for result in results]
        state, value = TrialState.COMPLETE, sum(values) / len(values)
        if any(result.status == "PRUNED" for result in results):
            state = TrialState.PRUNED
        elif value - value != 0 or any(result.status != "FINISHED" for result in results):
            state = TrialState.FAIL
        data = json.dumps([_as_data(result) for result in results])
        self._seen.add(choice.place)
        if not self._queue.end(choice.place, data):  # this worker was taken for dead: another has the choice
            self._seen.discard(choice.place)
            self._fail(trial.number)
            return
        with quiet(), suppress(ValueError, RuntimeError):
            trial.set_user_attr(RUNS, data)
            self._study.tell(trial, value if state == TrialState.COMPLETE else None, state)

    def left(self, choice: Choice) -> None:
        self._taken.pop(choice.place, None)  # gone, where the storage failed to be told
        self._queue.free(choice.place)  # whoever takes it ends the trial, and begins another with the same values

    def _fail(self, number: int) -> None:
        """Ends a trial that nobody tries any more."""
        with quiet(), suppress(ValueError, RuntimeError):
            self._study.tell(number, state=TrialState.FAIL)

    def is_worse(self, choice: Choice, epoch: int, value: float) -> bool:
        if self._design.call.prune is None or value - value != 0:
            return False
        trial = self._taken[choice.place]
        with quiet():
            trial.report(value, epoch)
            return bool(trial.should_prune())

    def of_others(self) -> list[Result]:
        ended = [[_as_result(one) for one in json.loads(data)] for data in self._queue.ended()]
        first = {results[0].number // self._design.repeats: results for results in ended}
        return [result for place, results in first.items() if place not in self._seen for result in results]

    @contextmanager
    def beating(self) -> Iterator[Study]:
        """Inside, a thread says that this worker is alive."""
        if not isinstance(self._storage, RDBStorage):
            yield self
            return
        over, seconds = threading.Event(), self._storage.get_heartbeat_interval() or BEAT_SECONDS

        def beats() -> None:
            while not over.wait(seconds):
                with suppress(Exception):  # a database that is away for a moment: the next beat counts too
                    self._queue.beat()

        thread = threading.Thread(target=beats, daemon=True)
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
    return f"{os.uname().nodename if hasattr(os, 'uname') else ''}:{process}:"


def seed_of(design: Design, number: int, sweep: str | None) -> int:
    """The seed of a sampler: the spec's own for the first worker of a sweep, another for each.

    Where others may join from elsewhere, the name of the `sweep` is theirs alone.
    """
    own = zlib.crc32(sweep.encode()) if sweep else 0
    return (design.base.head.seed + number + own) % 2**32


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
