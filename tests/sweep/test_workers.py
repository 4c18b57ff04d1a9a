"""A worker at a sweep: what it records, gives back, tries again, and does once for two equal choices."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from annpipe.observer import SILENT
from annpipe.sweep.chooser import TrialChoice
from annpipe.sweep.plan_trials import Planner, Trial
from annpipe.sweep.results.table import Result
from annpipe.sweep.train_trials import TrialRunner, TrialShouldStop
from annpipe.sweep.workers import Worker, threads_of
from tests.sweep.designs import design

AXES = ("optimizer.Adam.lr=1e-3,1e-2", "model.1=ReLU", "model.0.Linear=4", "seed=0,1")


@dataclass
class ListChooser:
    """Gives out batches of choices as they are listed, and keeps what comes back."""

    batches: list[list[TrialChoice]]
    recorded: list[tuple[int, list[Result]]] = field(default_factory=list)
    given_back: list[int] = field(default_factory=list)
    reported: list[tuple[int, int, float]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return not self.batches

    def choose(self) -> list[TrialChoice]:
        return self.batches.pop(0)

    def record(self, choice: TrialChoice, results: Sequence[Result]) -> None:
        self.recorded.append((choice.index, list(results)))

    def give_back(self, choice: TrialChoice) -> None:
        self.given_back.append(choice.index)

    def should_prune(self, choice: TrialChoice, epoch: int, value: float) -> bool:
        self.reported.append((choice.index, epoch, value))
        return value > 1

    def results_of_others(self) -> list[Result]:
        return []


@dataclass
class ScriptedRunner(TrialRunner):
    """Ends each trial with the next status of its script, FINISHED where there is none left, without training."""

    script: dict[int, list[str]] = field(default_factory=dict)
    trained: list[int] = field(default_factory=list)
    should_stop: TrialShouldStop | None = None

    def results(
        self, group: Sequence[Trial], should_stop: TrialShouldStop | None = None
    ) -> Iterator[tuple[Result, int | None]]:
        self.should_stop = should_stop
        for trial in reversed(group):  # members of a stack may end in any order
            self.trained.append(trial.number)
            status = self.script.get(trial.number, [])
            ended = status.pop(0) if status else "FINISHED"
            result = Result(trial.number, trial.values, None, ended, {"val/loss": float(trial.number)})
            yield result, signal.SIGTERM if ended == "KILLED" else None


def values(lr: float, seed: int = 0) -> dict[str, Any]:
    return {"optimizer.Adam.lr": lr, "model.1": "ReLU", "model.0.Linear": 4, "seed": seed}


def choice(index: int, lr: float, seeds: int = 2) -> TrialChoice:
    return TrialChoice(index, index * seeds, tuple(values(lr, seed) for seed in range(seeds)))


def worker(
    project: Path, chooser: ListChooser, *changes: str, script: dict[int, list[str]] | None = None
) -> tuple[Worker, ScriptedRunner]:
    """A worker whose trials end as the script says."""
    made = design(project, *changes, over=AXES)
    runner = ScriptedRunner("sweep", "", project, SILENT, {}, script=script or {})
    return Worker(made, Planner(made.source, made.axes, SILENT), chooser, runner), runner


def test_a_choice_is_recorded_once_all_of_its_trials_have_ended(project: Path) -> None:
    """Its results in the order of the trials, whatever the order in which these ended."""
    chooser = ListChooser([[choice(0, 0.1), choice(1, 0.2)], [choice(2, 0.3)]])
    made, _ = worker(project, chooser)
    assert sorted(result.number for result in made.results()) == list(range(6))
    assert sorted((index, [result.number for result in results]) for index, results in chooser.recorded) == [
        (0, [0, 1]),
        (1, [2, 3]),
        (2, [4, 5]),
    ]
    assert chooser.given_back == []


def test_equal_trials_are_trained_once(project: Path) -> None:
    """A sampler may choose the same twice: each choice has a result, that of the second is not new."""
    chooser = ListChooser([[choice(0, 0.1, 1), choice(1, 0.2, 1), choice(2, 0.1, 1)]])
    made, runner = worker(project, chooser)
    results = {result.number: result for result in made.results()}
    assert sorted(runner.trained) == [0, 1]
    assert [results[number].is_new for number in range(3)] == [True, True, False]
    assert results[2].finals == results[0].finals
    assert sorted(index for index, _ in chooser.recorded) == [0, 1, 2]


@pytest.mark.parametrize(
    ("retries", "script", "status", "times"),
    [
        (0, ["FAILED"], "FAILED", 1),
        (1, ["FAILED", "FAILED"], "FAILED", 2),
        (2, ["FAILED", "FAILED"], "FINISHED", 3),
        (2, ["PRUNED"], "PRUNED", 1),
    ],
)
def test_a_failed_trial_is_tried_again(retries: int, script: list[str], status: str, times: int, project: Path) -> None:
    """As often as the sweep says; only the last result counts."""
    chooser = ListChooser([[choice(0, 0.1)]])
    made, runner = worker(project, chooser, f"sweep.retries={retries}", script={1: script})
    assert {result.number: result.status for result in made.results()} == {0: "FINISHED", 1: status}
    assert (runner.trained.count(0), runner.trained.count(1)) == (1, times)


def test_a_stopped_worker_gives_back_what_has_not_ended(project: Path) -> None:
    """The choice with a trial that a signal stopped; it takes no other, and does not try the trial again."""
    chooser = ListChooser([[choice(0, 0.1), choice(1, 0.2)], [choice(2, 0.3)]])
    made, runner = worker(project, chooser, "sweep.retries=3", script={2: ["KILLED"]})
    statuses = {result.number: result.status for result in made.results()}
    assert statuses[2] == "KILLED"
    assert chooser.given_back == [1]
    assert [index for index, _ in chooser.recorded] == [0]
    assert len(chooser.batches) == 1
    assert runner.trained.count(2) == 1


def test_a_worker_whose_sweep_is_gone_takes_nothing(project: Path) -> None:
    """It looks between trials: what is not trained yet is given back."""
    chooser = ListChooser([[choice(0, 0.1, 1)], [choice(1, 0.2, 1)]])
    made, _ = worker(project, chooser)
    made.may_go_on = lambda: not chooser.recorded
    assert [result.number for result in made.results()] == [0]
    assert len(chooser.batches) == 1


@pytest.mark.parametrize("changes", [(), ("sweep.method=grid", "sweep.trials=null", "sweep.prune=median")])
def test_a_pruner_gets_the_metric_that_trials_are_compared_by(changes: tuple[str, ...], project: Path) -> None:
    """And no other one; without a pruner the trials are not asked."""
    chooser = ListChooser([[choice(4, 0.1, 1)]])
    made, runner = worker(project, chooser, *changes)
    list(made.results())
    if not changes:
        assert runner.should_stop is None
        return
    assert runner.should_stop is not None
    assert not runner.should_stop(4, "train/loss", 1, 5.0)
    assert runner.should_stop(4, "val/loss", 2, 5.0)
    assert not runner.should_stop(4, "val/loss", 3, 0.5)
    assert chooser.reported == [(4, 2, 5.0), (4, 3, 0.5)]


@pytest.mark.parametrize(("workers", "threads"), [(1, None), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_workers_share_the_cores(workers: int, threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker measures how many it takes; of several each has at least one."""
    monkeypatch.setattr("annpipe.sweep.workers.available_cores", lambda: 8)
    assert threads_of(workers) == threads
