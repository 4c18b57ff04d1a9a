"""The trials of a sweep as a study of Optuna's: chosen by its samplers, stopped by its pruners, shared in its storages.

All choices wait in the storage from the beginning, empty where a sampler fills them in. A worker takes one by setting
its state, which only one can do; what a worker that dies had taken waits again.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from annpipe.errors import RunError, StoreError
from annpipe.secrets import scrub
from annpipe.sweep.axes import repeated
from annpipe.sweep.choosing import Choice
from annpipe.sweep.design import Design
from annpipe.sweep.sampling import as_choice, of_choice, pruner_of, quiet, sampler_of, space_of
from annpipe.sweep.table import Result

PLACE, WORKER, RUNS, COUNT = "annpipe.place", "annpipe.worker", "annpipe.runs", "annpipe.choices"
BEAT_SECONDS, GRACE_SECONDS = 10, 30  # a worker that says nothing for so long is dead
BEGIN_SECONDS = 60.0  # that the one who makes a study may take to fill it
TURNS = 2  # in which a worker takes its share, so that the quicker ones can take more
TRIES_TO_OPEN, SECONDS_BETWEEN_TRIES = 4, 0.3
BUSY_SECONDS = 60  # that a database file may be in another's hands


class Study:
    """A study in a storage, seen by one of several workers, whose sampler has a `seed` that no other has."""

    def __init__(self, design: Design, storage: BaseStorage, name: str, *, seed: int, of: int = 1) -> None:
        self._design, self._storage = design, storage
        is_shared = isinstance(storage, RDBStorage) and not design.call.options.batch
        self._most = max(1, -(-design.choices // (TURNS * of))) if is_shared else design.batch
        self._most = min(self._most, design.batch)
        self._axes = design.axes if design.call.is_grid else tuple(axis for axis in design.axes if not axis.is_repeat)
        self._spaces = {axis.path: space_of(axis) for axis in self._axes}
        self._worker = f"{os.uname().nodename if hasattr(os, 'uname') else ''}:{os.getpid()}"
        self._taken: dict[int, optuna.Trial] = {}
        self._seen: set[int] = set()
        with quiet():
            self._study, is_new = _opened(design, storage, name, seed)
        if is_new:
            self._fill()
        else:
            self._wait_for_choices()

    def _fill(self) -> None:
        design = self._design
        fixed = design.combinations if design.call.is_grid else [{}] * design.choices
        for place, values in enumerate(fixed):
            said = {path: as_choice(self._spaces[path], value) for path, value in values.items()}
            self._study.enqueue_trial(said, user_attrs={PLACE: place})
        self._study.set_user_attr(COUNT, len(fixed))

    def _wait_for_choices(self) -> None:
        end = time.monotonic() + BEGIN_SECONDS
        while COUNT not in self._study.user_attrs:
            if time.monotonic() > end:
                message = f"the study '{self._study.study_name}' was begun and never filled: delete it, and try again"
                raise RunError(message)
            time.sleep(0.2)

    @property
    def is_over(self) -> bool:
        return not self._trials(TrialState.RUNNING, TrialState.WAITING)

    def choose(self) -> list[Choice]:
        self._revive()
        waiting = len(self._trials(TrialState.WAITING))
        asked = (self._ask() for _ in range(min(waiting, self._most)))
        return [self._choice(trial) for trial in asked if trial is not None]

    def _ask(self) -> optuna.Trial | None:
        with quiet():
            trial = self._study.ask(self._spaces)
        if PLACE not in trial.user_attrs:  # others took the last one that waited, and Optuna made one more
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        trial.set_user_attr(WORKER, self._worker)
        self._taken[trial.user_attrs[PLACE]] = trial
        self._beat(trial)
        return trial

    def _choice(self, trial: optuna.Trial) -> Choice:
        place = int(trial.user_attrs[PLACE])
        values = {path: of_choice(space, trial.params[path]) for path, space in self._spaces.items()}
        design = self._design
        if design.call.is_grid:  # the very values of the axes: a storage may keep others that are equal to them
            return Choice(place, place, (design.combinations[place],))
        return Choice(place, place * design.repeats, tuple(repeated(values, design.axes)))

    def told(self, choice: Choice, results: Sequence[Result]) -> None:
        trial = self._taken.pop(choice.place)
        self._seen.add(trial.number)
        metric = self._design.goal.metric
        values = [result.finals.get(metric, float("nan")) for result in results]
        state, value = TrialState.COMPLETE, sum(values) / len(values)
        if any(result.status == "PRUNED" for result in results):
            state = TrialState.PRUNED
        elif value - value != 0 or any(result.status != "FINISHED" for result in results):
            state = TrialState.FAIL
        with quiet(), suppress(ValueError, RuntimeError):  # this worker was taken for dead: another has the choice
            trial.set_user_attr(RUNS, json.dumps([_as_data(result) for result in results]))
            self._study.tell(trial, value if state == TrialState.COMPLETE else None, state)

    def left(self, choice: Choice) -> None:
        trial = self._taken.pop(choice.place)
        with quiet():
            self._again(trial.number, trial.params, trial.user_attrs)

    def _again(self, number: int, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Ends a trial that nobody tries any more, and lets its choice wait."""
        try:
            self._study.tell(number, state=TrialState.FAIL)
        except (ValueError, RuntimeError):  # another worker was faster
            return
        self._study.enqueue_trial(dict(params), user_attrs={PLACE: attributes[PLACE]})

    def is_worse(self, choice: Choice, epoch: int, value: float) -> bool:
        if self._design.call.prune is None or value - value != 0:
            return False
        trial = self._taken[choice.place]
        with quiet():
            trial.report(value, epoch)
            return bool(trial.should_prune())

    def of_others(self) -> list[Result]:
        found = []
        for trial in self._trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
            if trial.number not in self._seen and RUNS in trial.user_attrs:
                self._seen.add(trial.number)
                found += [_as_result(data) for data in json.loads(trial.user_attrs[RUNS])]
        return found

    def _beat(self, trial: optuna.Trial) -> None:
        """Says that the worker of a trial is alive."""
        if isinstance(self._storage, RDBStorage):
            study = self._storage.get_study_id_from_name(self._study.study_name)
            known = self._storage.get_trial_id_from_study_id_trial_number(study, trial.number)
            self._storage.record_heartbeat(known)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Inside, a thread says that this worker is alive."""
        if not isinstance(self._storage, RDBStorage):
            yield
            return
        over, seconds = threading.Event(), self._storage.get_heartbeat_interval() or BEAT_SECONDS

        def beats() -> None:
            while not over.wait(seconds):
                for trial in list(self._taken.values()):
                    with suppress(Exception):  # a database that is away for a moment: the next beat counts too
                        self._beat(trial)

        thread = threading.Thread(target=beats, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def release(self, worker: int) -> None:
        """What the worker with this process number had taken waits again: it is dead."""
        for trial in self._trials(TrialState.RUNNING):
            if str(trial.user_attrs.get(WORKER, "")) == f"{self._worker.rpartition(':')[0]}:{worker}":
                with quiet():
                    self._again(trial.number, trial.params, trial.user_attrs)

    def _revive(self) -> None:
        """What dead workers had taken waits again."""
        if isinstance(self._storage, RDBStorage):
            with quiet():
                optuna.storages.fail_stale_trials(self._study)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states)


def storage_of(url: str | None, *, beat: int = BEAT_SECONDS, grace: int = GRACE_SECONDS) -> BaseStorage:
    """The storage at an SQLAlchemy URL, in memory without one; raises StoreError."""
    if url is None:
        return InMemoryStorage()
    is_sqlite = url.startswith("sqlite")
    waits = {"connect_args": {"timeout": BUSY_SECONDS}} if is_sqlite else {}

    def opened() -> RDBStorage:
        return RDBStorage(
            url,
            engine_kwargs=waits,
            heartbeat_interval=beat,
            grace_period=grace,
            heartbeat_stale_trial_callback=_waits_again,
        )

    try:
        with quiet():
            storage = _in_spite_of_others(opened)
    except Exception as error:  # of SQLAlchemy, of a driver, or an import of one that is missing
        raise StoreError(f"the storage {scrub(url)} cannot be opened: {scrub(str(error)).splitlines()[0]}") from error
    if is_sqlite:
        _one_at_a_time(storage.engine)
    return storage


def _in_spite_of_others(opened: Callable[[], RDBStorage]) -> RDBStorage:
    """Opens a storage; of several that open a new one, each makes the tables that the others make meanwhile."""
    for _ in range(TRIES_TO_OPEN - 1):
        try:
            return opened()
        except DBAPIError as error:
            if "already exists" not in str(error):
                raise
            time.sleep(SECONDS_BETWEEN_TRIES)
    return opened()


def _one_at_a_time(engine: Engine) -> None:
    """Transactions of an SQLite file lock it when they begin, others wait.

    Optuna takes a waiting trial by reading its row for update, which locks nothing in SQLite: two would take it.
    """

    def begun_by_hand(connection: Any, _: object) -> None:
        connection.isolation_level = None  # Python's driver begins a transaction at the first change only

    engine.dispose()
    event.listen(engine, "connect", begun_by_hand)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def seed_of(design: Design, number: int, sweep: str | None) -> int:
    """The seed of a sampler: the spec's own for the first worker of a sweep, another for each.

    Where others may join from elsewhere, the name of the `sweep` is theirs alone.
    """
    own = zlib.crc32(sweep.encode()) if sweep else 0
    return (design.base.head.seed + number + own) % 2**32


def _waits_again(study: optuna.Study, trial: FrozenTrial) -> None:
    if PLACE in trial.user_attrs:
        study.enqueue_trial(dict(trial.params), user_attrs={PLACE: trial.user_attrs[PLACE]})


def database(folder: Path) -> str:
    """The URL of the storage in a sweep's folder."""
    return f"sqlite:///{(folder / 'study.db').resolve().as_posix()}"


def _opened(design: Design, storage: BaseStorage, name: str, seed: int) -> tuple[optuna.Study, bool]:
    """The study of this name, and whether it is new."""
    sampler, pruner = sampler_of(design, seed), pruner_of(design)
    direction = StudyDirection.MAXIMIZE if design.goal.higher else StudyDirection.MINIMIZE
    try:
        made = optuna.create_study(
            storage=storage, study_name=name, direction=direction, sampler=sampler, pruner=pruner
        )
    except optuna.exceptions.DuplicatedStudyError:
        return optuna.load_study(storage=storage, study_name=name, sampler=sampler, pruner=pruner), False
    return made, True


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
