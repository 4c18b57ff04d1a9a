"""The finished runs that a sweep takes for its trials: only the user's own, whole ones, with the same results."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.observer import SILENT
from annpipe.record.journal import seal
from annpipe.sweep.finished_runs import FinishedRuns
from annpipe.sweep.plan_trials import Planner, Trial
from annpipe.sweep.train_trials import TrialRunner
from tests.sweep.designs import KeepingObserver, design

CHANGES = ("train.epochs=1", "sweep.method=grid", "sweep.trials=null")
OVER = ("optimizer.Adam.lr=1e-3,1e-2", "model.1=ReLU", "model.0.Linear=4")


@pytest.fixture
def trials(project: Path) -> list[Trial]:
    """Two trials, of which the first has been trained; its run stands in the one with the number 0."""
    made = design(project, *CHANGES, over=OVER)
    planner = Planner(made.source, made.axes, SILENT)
    first, second = (planner.trial(number, values) for number, values in enumerate(made.combinations))
    runner = TrialRunner("sweep", "sqlite:////nowhere/mlflow.db", project, SILENT, {})
    ((result, _),) = list(runner.results([first]))
    assert result.status == "FINISHED"
    assert result.run is not None
    return [first, second]


def run_of(project: Path) -> Path:
    (folder,) = (project / "runs").iterdir()
    return folder


def matched(project: Path, trials: list[Trial]) -> list[Path | None]:
    return [trial.run for trial in FinishedRuns(project).match(trials)]


def test_the_trial_that_was_trained_has_its_run(project: Path, trials: list[Trial]) -> None:
    """The other, of another learning rate, has none; their numbers and values stay."""
    found = FinishedRuns(project).match(trials)
    assert [trial.run for trial in found] == [run_of(project), None]
    assert [(trial.number, trial.values) for trial in found] == [(trial.number, trial.values) for trial in trials]


def test_a_run_that_finished_later_is_found_by_the_next_call(project: Path, trials: list[Trial]) -> None:
    """What is kept of a run is what does not change."""
    journal = run_of(project) / "journal.jsonl"
    whole = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(whole[:-1]), encoding="utf-8")
    finished_runs = FinishedRuns(project)
    assert [trial.run for trial in finished_runs.match(trials)] == [None, None]
    journal.write_text("".join(whole), encoding="utf-8")
    assert [trial.run for trial in finished_runs.match(trials)] == [run_of(project), None]


def test_damaged_results_are_not_relied_on(project: Path, trials: list[Trial]) -> None:
    """A line in the middle that cannot be read."""
    journal = run_of(project) / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[len(lines) // 2] = b'{"broken\n'
    journal.write_bytes(b"".join(lines))
    assert matched(project, trials) == [None, None]


def test_the_run_of_somebody_else_is_not_relied_on(project: Path, trials: list[Trial]) -> None:
    """It is named once, with the command that makes it the user's own."""
    (run_of(project) / seal.FILE).unlink()
    observer = KeepingObserver()
    finished_runs = FinishedRuns(project, observer)
    assert [trial.run for trial in finished_runs.match(trials)] == [None, None]
    finished_runs.match(trials)
    (event,) = observer.events
    assert f"annpipe resume {run_of(project).name} --trust" in event
    seal.trust(run_of(project))
    assert [trial.run for trial in finished_runs.match(trials)] == [run_of(project), None]


def test_a_folder_without_a_journal_is_passed_over(project: Path, trials: list[Trial]) -> None:
    """And so is one whose journal is empty: the run is just being begun."""
    for name, text in (("small-nothing", None), ("small-empty", "")):
        folder = project / "runs" / name
        folder.mkdir()
        if text is not None:
            (folder / "journal.jsonl").write_text(text, encoding="utf-8")
    runs = matched(project, trials)
    assert [run.name.startswith("small-2") if run else None for run in runs] == [True, None]
