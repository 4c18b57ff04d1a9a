"""Choosers of the next trials of a sweep: their protocol, and the one that walks through a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from annpipe.sweep.design import Design
from annpipe.sweep.results.table import Result


@dataclass(frozen=True)
class TrialChoice:
    """The choice with this index: the values of each of its trials, which are repetitions of each other.

    `first` is the number of the first trial.
    """

    index: int
    first: int
    trials: tuple[Mapping[str, Any], ...]


class Chooser(Protocol):
    """Where the trials of a sweep come from."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do, here or with other workers."""

    def choose(self) -> list[TrialChoice]:
        """The next batch; empty while other workers have all that is left."""

    def record(self, choice: TrialChoice, results: Sequence[Result]) -> None:
        """Takes the results of all trials of a choice."""

    def give_back(self, choice: TrialChoice) -> None:
        """Takes back a choice whose trials did not all end, so that another worker can take it."""

    def should_prune(self, choice: TrialChoice, epoch: int, value: float) -> bool:
        """Takes the value that a trial of the choice has at an epoch; whether the trial should be stopped."""

    def results_of_others(self) -> list[Result]:
        """The results of trials that other workers have ended since the last call."""


@dataclass
class GridChooser:
    """Chooses every combination of a grid, in the order of its axes."""

    design: Design
    _next: int = field(default=0, init=False)

    @property
    def is_over(self) -> bool:
        return self._next >= self.design.choices

    def choose(self) -> list[TrialChoice]:
        batch = self.design.combinations[self._next : self._next + self.design.batch]
        chosen = [TrialChoice(number, number, (values,)) for number, values in enumerate(batch, start=self._next)]
        self._next += len(batch)
        return chosen

    def record(self, choice: TrialChoice, results: Sequence[Result]) -> None:
        """Does nothing: a grid does not depend on results."""

    def give_back(self, choice: TrialChoice) -> None:
        """Does nothing: the next call of the sweep trains what has no finished run."""

    def should_prune(self, choice: TrialChoice, epoch: int, value: float) -> bool:
        return False

    def results_of_others(self) -> list[Result]:
        return []
