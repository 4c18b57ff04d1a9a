"""Who trains the trials of a sweep? This process, and others that take trials out of the same storage."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.backend.device import available_cores
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import StoreError
from annpipe.observer import Silent
from annpipe.record.journal.source import source_tags
from annpipe.runs.signals import signals_noted
from annpipe.sweep.chooser import Choice, Chooser
from annpipe.sweep.design import Design, designed
from annpipe.sweep.plan_trials import Made, Planner, Request, Trial
from annpipe.sweep.table import Result
from annpipe.sweep.train_trials import Training, stacks

if TYPE_CHECKING:
    from annpipe.sweep.optuna_study import Study

IDLE_SECONDS = 0.2
PARTING_SECONDS = 5.0  # that a worker has to end its step and its journal once the process above is gone


@dataclass
class Work:
    """One worker at a sweep: it takes choices, trains their trials, and tells how they ended.

    `idle` is called between trials, and says whether to go on.
    """

    design: Design
    planner: Planner
    chooser: Chooser
    training: Training
    idle: Callable[[], bool] = lambda: True
    signal: int | None = field(default=None, init=False)
    _of: dict[int, Choice] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._made = Made(self.training.project, self.training.teller.event)

    def results(self) -> Iterator[Result]:
        """How each trial ended; comes to its end when nothing is left, after a signal, and where `idle` says so."""
        if self.design.call.prune is not None:
            self.training.judge = self._judge
        with signals_noted(self):
            while self._goes_on() and not self.chooser.is_over:
                choices = self.chooser.choose()
                if not choices:
                    time.sleep(IDLE_SECONDS)
                    continue
                yield from self._batch(choices)

    def _goes_on(self) -> bool:
        return self.idle() and self.signal is None

    def _judge(self, number: int, key: str, epoch: int, value: float) -> bool:
        return key == self.design.goal.metric and self.chooser.is_worse(self._of[number], epoch, value)

    def _batch(self, choices: Sequence[Choice]) -> Iterator[Result]:
        ended: dict[int, list[Result]] = {choice.place: [] for choice in choices}
        try:
            for result, choice in self._trained(choices):
                ended[choice.place].append(result)
                if len(ended[choice.place]) == len(choice.trials) and not _was_stopped(ended[choice.place]):
                    self.chooser.told(choice, sorted(ended[choice.place], key=lambda one: one.number))
                    del ended[choice.place]
                yield result
        finally:
            for choice in choices:
                if choice.place in ended:
                    self.chooser.left(choice)

    def _trained(self, choices: Sequence[Choice]) -> Iterator[tuple[Result, Choice]]:
        self._of = {}
        planned = []
        for choice in choices:
            for number, values in enumerate(choice.trials, start=choice.first):
                self._of[number] = choice
                planned.append(self.planner.trial(number, values))
                if self.signal is not None:
                    return
        alike: dict[str, list[Trial]] = {}  # a sampler may choose the same twice, before it hears of the first
        for trial in planned:
            alike.setdefault(trial.key, []).append(trial)
        trials = self._made.of([same[0] for same in alike.values()])
        keys = {trial.number: trial.key for trial in trials}
        for group in stacks(trials):
            for result in self._ends(group):
                yield result, self._of[result.number]
                for twin in alike[keys[result.number]][1:]:
                    yield replace(result, number=twin.number, is_new=False), self._of[twin.number]
            if not self._goes_on():
                return

    def _ends(self, group: Sequence[Trial]) -> Iterator[Result]:
        """The last end of each trial of a group: one that failed may be tried again."""
        by_number = {trial.number: trial for trial in group}
        again = dict.fromkeys(by_number, self.design.call.options.retries)
        waiting = [list(group)]
        while waiting:
            for result, stopped_by in self.training.results(waiting.pop(0)):
                self.signal = self.signal if stopped_by is None else stopped_by
                if result.status == "FAILED" and again[result.number] and self.signal is None:
                    again[result.number] -= 1
                    waiting.append([by_number[result.number]])
                    continue
                yield result


def _was_stopped(results: Sequence[Result]) -> bool:
    return any(result.status == "KILLED" for result in results)


@dataclass(frozen=True)
class Job:
    """What another process has to know to work at a sweep."""

    request: Request
    storage: str
    study: str
    sweep: str
    shared: str | None
    uri: str
    project: Path
    workers: int


class Team:
    """The other processes that work at a sweep here."""

    def __init__(self, job: Job, study: Study) -> None:
        context = multiprocessing.get_context("spawn")
        self._study = study
        self._left: list[BaseProcess] = []
        for number in range(1, job.workers):
            process = context.Process(target=_work, args=(job, number), daemon=True)
            process.start()
            self._left.append(process)

    def look(self) -> None:
        """What a worker that has died had taken is to be done by the others."""
        for process in [one for one in self._left if one.exitcode is not None]:
            self._left.remove(process)
            self._study.release(process.pid or 0)

    def stop(self) -> None:
        """Asks all to stop after the present step, and waits for them."""
        for process in self._left:
            process.terminate()
        for process in self._left:
            process.join()
        self.look()


def threads_of(workers: int) -> int | None:
    """The threads that each of several workers takes; None: as measured."""
    return max(1, available_cores() // workers) if workers > 1 else None


@torch_defaults()
def _work(job: Job, number: int) -> None:
    """One more worker, in a process of its own."""
    _end_with_parent()
    from annpipe.sweep.optuna_study import Study, seed_of
    from annpipe.sweep.storage import answering, storage_of

    above, teller = multiprocessing.parent_process(), Silent()  # the process above tells what there is to tell
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the process above, which asks this one to stop
    design = designed(job.request, teller)
    seed = seed_of(design, number, job.shared)
    study = Study(design, storage_of(job.storage), job.study, seed=seed, of=job.workers)
    origin = source_tags(Path(design.base.file))
    training = Training(job.sweep, job.uri, job.project, teller, origin, threads=threads_of(job.workers))
    planner = Planner(design.request, design.axes, teller)
    work = Work(design, planner, study, training, lambda: above is None or above.is_alive())
    try:
        with answering(job.storage), study.beating():
            for _ in work.results():
                pass
    except StoreError as error:  # which the process above finds too
        sys.exit(str(error))


def _end_with_parent() -> None:
    """Starts a thread that stops this process once the process above is gone, however that ended.

    The sentinel is the end of a pipe whose other end only the process above has: the system closes it at its death.
    """
    above = multiprocessing.parent_process()
    assert above is not None

    def watch() -> None:
        wait([above.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)  # the trial under way ends after its step, as KILLED
        time.sleep(PARTING_SECONDS)
        os._exit(128 + signal.SIGTERM)  # a step, or a callback, that takes too long

    threading.Thread(target=watch, daemon=True, name="annpipe-parent").start()
