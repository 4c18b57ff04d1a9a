"""Workers at a sweep: this process, and others that take trials out of the same storage."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from annpipe.backend.device import available_cores
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import StoreError
from annpipe.files.processes import ask_to_stop
from annpipe.observer import SILENT
from annpipe.record.journal.source import source_tags
from annpipe.runs.signals import StopSignal, signals_caught
from annpipe.runs.spec_source import SpecSource
from annpipe.sweep.chooser import Chooser, TrialChoice
from annpipe.sweep.design import Design, design_sweep
from annpipe.sweep.finished_runs import FinishedRuns
from annpipe.sweep.plan_trials import Planner, Trial
from annpipe.sweep.results.table import Result
from annpipe.sweep.train_trials import TrialRunner, stacks

if TYPE_CHECKING:
    from annpipe.sweep.optuna_study import Study

IDLE_SECONDS = 0.2
PARTING_SECONDS = 5.0  # that a worker has to end its step and its journal once its parent process is gone


@dataclass
class Worker:
    """One worker at a sweep: it takes choices, trains their trials, and records the results with the chooser.

    `may_go_on` is called between trials; where it is False, the worker stops.
    """

    design: Design
    planner: Planner
    chooser: Chooser
    runner: TrialRunner
    may_go_on: Callable[[], bool] = lambda: True
    stop_signal: StopSignal = field(default_factory=StopSignal)
    _choices: dict[int, TrialChoice] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._finished_runs = FinishedRuns(self.runner.project, self.runner.observer)

    def results(self) -> Iterator[Result]:
        """The result of each trial, until nothing is left, a signal arrives, or `may_go_on` is False."""
        with signals_caught(self.stop_signal):
            while self._goes_on() and not self.chooser.is_over:
                choices = self.chooser.choose()
                if not choices:
                    time.sleep(IDLE_SECONDS)
                    continue
                yield from self._batch(choices)

    def _goes_on(self) -> bool:
        return self.may_go_on() and self.stop_signal.number is None

    def _should_prune(self, number: int, key: str, epoch: int, value: float) -> bool:
        return key == self.design.goal.metric and self.chooser.should_prune(self._choices[number], epoch, value)

    def _batch(self, choices: Sequence[TrialChoice]) -> Iterator[Result]:
        results: dict[int, list[Result]] = {choice.index: [] for choice in choices}
        try:
            for result, choice in self._trained(choices):
                of_choice = results[choice.index]
                of_choice.append(result)
                if len(of_choice) == len(choice.trials) and not _was_stopped(of_choice):
                    self.chooser.record(choice, sorted(of_choice, key=lambda result: result.number))
                    del results[choice.index]
                yield result
        finally:
            for choice in choices:
                if choice.index in results:
                    self.chooser.give_back(choice)

    def _trained(self, choices: Sequence[TrialChoice]) -> Iterator[tuple[Result, TrialChoice]]:
        self._choices = {}
        planned = []
        for choice in choices:
            for number, values in enumerate(choice.trials, start=choice.first):
                self._choices[number] = choice
                planned.append(self.planner.trial(number, values))
                if self.stop_signal.number is not None:
                    return
        alike: dict[str, list[Trial]] = {}  # a sampler may choose the same twice, before it has the first result
        for trial in planned:
            alike.setdefault(trial.key, []).append(trial)
        trials = self._finished_runs.match([same[0] for same in alike.values()])
        keys = {trial.number: trial.key for trial in trials}
        for group in stacks(trials):
            for result in self._last_results(group):
                yield result, self._choices[result.number]
                for twin in alike[keys[result.number]][1:]:
                    yield replace(result, number=twin.number, is_new=False), self._choices[twin.number]
            if not self._goes_on():
                return

    def _last_results(self, group: Sequence[Trial]) -> Iterator[Result]:
        """The last result of each trial of a group: one that failed may be tried again."""
        by_number = {trial.number: trial for trial in group}
        retries = dict.fromkeys(by_number, self.design.call.options.retries)
        waiting = [list(group)]
        should_stop = self._should_prune if self.design.call.prune is not None else None
        while waiting:
            for result, signal_number in self.runner.results(waiting.pop(0), should_stop):
                if signal_number is not None:
                    self.stop_signal.number = signal_number
                if result.status == "FAILED" and retries[result.number] and self.stop_signal.number is None:
                    retries[result.number] -= 1
                    waiting.append([by_number[result.number]])
                    continue
                yield result


def _was_stopped(results: Sequence[Result]) -> bool:
    return any(result.status == "KILLED" for result in results)


@dataclass(frozen=True)
class WorkerTask:
    """The sweep that another process works at, and where it finds the storage, the record and the project."""

    source: SpecSource
    storage: str
    study: str
    sweep: str
    shared: str | None
    uri: str
    project: Path
    workers: int


class WorkerPool:
    """The other processes on this machine that work at a sweep."""

    def __init__(self, task: WorkerTask, study: Study) -> None:
        context = multiprocessing.get_context("spawn")
        self._study = study
        self._processes: list[BaseProcess] = []
        stop_pipe, self._stop_pipe = context.Pipe(duplex=False)
        for number in range(1, task.workers):
            process = context.Process(target=_work_in_process, args=(task, number, stop_pipe), daemon=True)
            process.start()
            self._processes.append(process)
        stop_pipe.close()

    def release_dead(self) -> None:
        """Frees what workers that have died had taken, for the others."""
        for process in [process for process in self._processes if process.exitcode is not None]:
            self._processes.remove(process)
            self._study.release(process.pid or 0)

    def stop(self) -> None:
        """Asks all to stop after the present step, and waits for them."""
        if sys.platform == "win32":  # where `terminate` ends a process at once
            self._stop_pipe.close()
        else:
            for process in self._processes:
                process.terminate()
        for process in self._processes:
            process.join()
        self.release_dead()
        self._stop_pipe.close()


def threads_of(workers: int) -> int | None:
    """The number of threads for each of several workers; None for one worker, which measures it."""
    return max(1, available_cores() // workers) if workers > 1 else None


@torch_defaults()
def _work_in_process(task: WorkerTask, number: int, stop_pipe: Connection) -> None:
    """One more worker, in a process of its own; it stops when the other end of `stop_pipe` is closed."""
    _end_with_parent(stop_pipe)
    from annpipe.sweep.optuna_study import Study, seed_of
    from annpipe.sweep.storage import answering, storage_of

    parent = multiprocessing.parent_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent process, which asks this one to stop
    design = design_sweep(task.source, SILENT)  # the parent process shows the warnings
    seed = seed_of(design, number, task.shared)
    study = Study(design, storage_of(task.storage), task.study, seed=seed, of=task.workers)
    source = source_tags(Path(design.base.file))
    runner = TrialRunner(task.sweep, task.uri, task.project, SILENT, source, threads_of(task.workers))
    planner = Planner(design.source, design.axes, SILENT)
    worker = Worker(design, planner, study, runner, lambda: parent is None or parent.is_alive())
    try:
        with answering(task.storage), study.heartbeat():
            for _ in worker.results():
                pass
    except StoreError as error:  # which the parent process finds too
        sys.exit(str(error))


def _end_with_parent(stop_pipe: Connection) -> None:
    """Starts a thread that stops this process when the parent process says so, or is gone, however that ended.

    The sentinel and `stop_pipe` are ends of pipes whose other end only the parent has: the system closes it when the
    parent dies.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel, stop_pipe])
        ask_to_stop()  # the trial under way ends after its step, as KILLED
        wait([parent.sentinel])  # who lives waits for us
        time.sleep(PARTING_SECONDS)
        os._exit(128 + signal.SIGTERM)  # a step, or a callback, that takes too long

    threading.Thread(target=watch, daemon=True, name="annpipe-parent").start()
