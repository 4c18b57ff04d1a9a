"""Holds the values of a replay against those that a run recorded, bit for bit or to a tolerance."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from annpipe.observer import Observer
from annpipe.runs.recorded import LOSS, RecordedRun
from annpipe.train.loop.loop import LoopObserver


@dataclass(frozen=True)
class Parting:
    """The first value that is another in the replay; `replayed` is None where the replay told none."""

    key: str
    epoch: int
    step: int
    recorded: float
    replayed: float | None


@dataclass
class ReplayComparison(LoopObserver):
    """Holds each value that the loop tells against the recorded one, up to `last_epoch`, and stops the loop then."""

    run: RecordedRun
    observer: Observer
    last_epoch: int
    last_step: int
    steps_per_epoch: int
    tolerance: float = 0.0
    largest: float = 0.0
    parting: Parting | None = None
    compared: dict[str, int] = field(default_factory=dict)
    _step: int = 0

    def losses(self, first_epoch: int, values: Sequence[float]) -> None:
        for epoch, value in enumerate(values, start=first_epoch):
            self._compare(LOSS, epoch, value)

    def values(self, epoch: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._compare(key, epoch, value)

    def _compare(self, key: str, epoch: int, value: float) -> None:
        recorded = self.run.values.get(key, {}).get(epoch)
        if recorded is None or epoch > self.last_epoch or self.parting is not None:
            return
        difference = 0.0 if _bits(recorded) == _bits(value) else _relative(recorded, value)
        self.largest = max(self.largest, difference)
        if _bits(recorded) != _bits(value) and not difference <= self.tolerance:
            self.parting = Parting(key, epoch, epoch * self.steps_per_epoch, recorded, value)
            return
        self.compared[key] = self.compared.get(key, 0) + 1

    def progress(self, step: int, loss: float) -> None:
        self._step = step
        self.observer.progress(step, loss)

    def stopped(self) -> bool:
        return self.parting is not None or self._step >= self.last_step

    def event(self, message: str) -> None:
        self.observer.event(message)

    def first_untold(self) -> Parting | None:
        """The first loss that the run told and its replay did not, as far as it was to go."""
        n_compared = self.compared.get(LOSS, 0)
        expected = sorted(epoch for epoch in self.run.values[LOSS] if epoch <= self.last_epoch)
        if n_compared >= len(expected):
            return None
        epoch = expected[n_compared]
        return Parting(LOSS, epoch, epoch * self.steps_per_epoch, self.run.values[LOSS][epoch], None)


def _bits(value: float) -> bytes:
    """The bits of a number; all that are not a number are the same, as JSON writes them."""
    return struct.pack("<d", math.nan if math.isnan(value) else value)


def _relative(recorded: float, replayed: float) -> float:
    """The difference as a share of the larger one; infinite where one of them is not finite."""
    largest = max(abs(recorded), abs(replayed))
    return abs(recorded - replayed) / largest if math.isfinite(largest) and largest else math.inf
