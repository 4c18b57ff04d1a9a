"""Times at which the runs of a sweep's trials are shipped: begun ones every few seconds, ended ones at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from annpipe.record.journal.events import TrialBegun, TrialEnded
from annpipe.record.journal.inside import neighbour

SECONDS_BETWEEN_PASSES = 3.0  # over the trials that are being trained
PASSES_SHARE = 0.1  # of the time, at most


def no_trials(folders: Sequence[Path]) -> None:
    """What a run without trials does with them."""
    assert not folders


class TrialPasses:
    """The trials that the journal of a sweep's `folder` tells of; `ship` takes their folders, which stand beside it."""

    def __init__(self, folder: Path, ship: Callable[[Sequence[Path]], None]) -> None:
        self._folder = folder
        self._ship = ship
        self._waiting: dict[Path, None] = {}
        self._running: dict[Path, None] = {}
        self._all: dict[Path, None] = {}
        self._next = 0.0

    def take(self, event: TrialBegun | TrialEnded, *, is_new: bool) -> None:
        """Hears that a trial was begun, or has ended; raises BadRunFolder where what it names can be none."""
        trial = neighbour(self._folder, event.run)
        self._all[trial] = None
        self._running.pop(trial, None)
        if isinstance(event, TrialBegun):
            self._running[trial] = None
        if is_new:
            self._waiting[trial] = None

    @property
    def wait(self) -> bool:
        """Whether trials wait to be shipped."""
        return bool(self._waiting)

    def call_if_due(self) -> None:
        """Those that are being trained wait when the last pass was a while ago."""
        if time.monotonic() >= self._next:
            self._waiting.update(self._running)

    def call_all(self) -> None:
        """All wait: one that was begun may have come to no end of its own."""
        self._waiting = dict(self._all)

    def go(self) -> None:
        """Ships those that wait."""
        begin = time.monotonic()
        self._ship(list(self._waiting))
        self._waiting = {}
        end = time.monotonic()
        self._next = end + max(SECONDS_BETWEEN_PASSES, (end - begin) / PASSES_SHARE)
