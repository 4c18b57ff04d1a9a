"""Who chooses the next trials of a sweep, and hears how they ended? A list, or a study of Optuna's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from annpipe.sweep.design import Design
from annpipe.sweep.table import Result


@dataclass(frozen=True)
class Choice:
    """Values that are tried together: those of each trial, in order. The first trial has the number `first`."""

    place: int
    first: int
    trials: tuple[Mapping[str, Any], ...]


class Chooser(Protocol):
    """Where the trials of a sweep come from."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do, here or with other workers."""

    def choose(self) -> list[Choice]:
        """The next batch; empty while other workers have all that is left."""

    def told(self, choice: Choice, results: Sequence[Result]) -> None:
        """How the trials of a choice ended, all of them."""

    def left(self, choice: Choice) -> None:
        """The choice was not tried to its end: another worker may."""

    def is_worse(self, choice: Choice, epoch: int, value: float) -> bool:
        """Takes the value that a trial of the choice has at an epoch; whether it should be stopped."""

    def of_others(self) -> list[Result]:
        """The trials that other workers have ended since the last call."""


@dataclass
class Listed:
    """Every combination of a grid, in the order of its axes."""

    design: Design
    _at: int = field(default=0, init=False)

    @property
    def is_over(self) -> bool:
        return self._at >= self.design.choices

    def choose(self) -> list[Choice]:
        batch = self.design.combinations[self._at : self._at + self.design.batch]
        chosen = [Choice(number, number, (values,)) for number, values in enumerate(batch, start=self._at)]
        self._at += len(batch)
        return chosen

    def told(self, choice: Choice, results: Sequence[Result]) -> None:
        """A list does not learn."""

    def left(self, choice: Choice) -> None:
        """Whoever calls the sweep again finds it."""

    def is_worse(self, choice: Choice, epoch: int, value: float) -> bool:
        return False

    def of_others(self) -> list[Result]:
        return []
