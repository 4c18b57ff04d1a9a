"""The design of a sweep over a project's spec, and an observer that keeps what it is told of."""

from __future__ import annotations

from pathlib import Path

from annpipe.observer import Observer
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.axes import read_over
from annpipe.sweep.design import Design, design_sweep
from annpipe.sweep.results.table import Result


class KeepingObserver(Observer):
    """Keeps the trials and events that it is told of."""

    def __init__(self) -> None:
        self.trials: list[Result] = []
        self.events: list[str] = []

    def trial(self, result: Result, n_done: int, n_trials: int) -> None:
        self.trials.append(result)

    def event(self, message: str) -> None:
        self.events.append(message)


def design(project: Path, *changes: str, over: tuple[str, ...] = ()) -> Design:
    """The design of a sweep over the spec of a project, with changes as `--set` and axes as `--over` take them."""
    return design_sweep(SpecSource(project / "spec.yaml", changes, over=tuple(map(read_over, over))), KeepingObserver())
