"""Calls to a store that are tried again: as long as the trainer lives, and a bounded time after that."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from annpipe.errors import StoreError
from annpipe.files.pipes import is_readable
from annpipe.record.store.client import Store
from annpipe.record.store.faults import ItemRefused, RunDeleted, RunGone, first_line

T = TypeVar("T")
LONGEST_PAUSE = 15.0
# So many failures of one item, while the store answers other questions, are the item's own fault.
FAILURES_OF_ITS_OWN = 5
log = logging.getLogger("annpipe.record")


class Caller(Protocol):
    """How a call to the store is made: once, again until it answers, or in a thread of low priority."""

    def __call__(self, action: Callable[[], T]) -> T: ...


def call_once(action: Callable[[], T]) -> T:
    """Calls it, and does not try again."""
    return action()


class GaveUp(Exception):
    """The store stayed away for too long; the journal keeps everything for the next shipper."""


@dataclass
class TrainerPipe:
    """The other end of the pipe: silent while the training process lives, closed when it is gone."""

    descriptor: int | None = None
    gone: bool = field(init=False)

    def __post_init__(self) -> None:
        self.gone = self.descriptor is None

    def has_left(self) -> bool:
        """Whether it is gone by now."""
        self.wait(0.0)
        return self.gone

    def wait(self, seconds: float) -> None:
        """Waits so long, but no longer than the trainer lives."""
        if self.gone or self.descriptor is None:
            time.sleep(seconds)
        elif is_readable(self.descriptor, seconds):
            self.gone = os.read(self.descriptor, 4096) == b""


class RetryingCaller:
    """Calls the store again and again, with growing pauses, until it answers or the time is up."""

    def __init__(
        self, store: Store, trainer: TrainerPipe, seconds_alone: float, on_trouble: Callable[[str], None]
    ) -> None:
        self._store = store
        self._trainer = trainer
        self._seconds_alone = seconds_alone
        self._on_trouble = on_trouble
        self._alone_since: float | None = None

    def __call__(self, action: Callable[[], T]) -> T:
        """The action's result.

        Raises ItemRefused for a faulty item, GaveUp when the store stays away, RunDeleted, RunGone, and StoreError for
        a store that can never be written to.
        """
        failures = 0
        while True:
            try:
                result = action()
            except (ItemRefused, RunDeleted, RunGone, StoreError):
                raise
            except Exception as error:  # recorded in shipped.json; MLflow lets through what its drivers raise
                failures += 1
                self._weigh(error, failures)
            else:
                self._alone_since = None
                return result

    def _weigh(self, error: Exception, failures: int) -> None:
        reason = first_line(error)
        log.warning("try %d: %s", failures, reason)
        if failures >= FAILURES_OF_ITS_OWN and "locked" not in reason and self._store.answers():
            raise ItemRefused(reason) from error
        self._on_trouble(reason)
        if self._trainer.gone:
            self._alone_since = self._alone_since or time.monotonic()
            if time.monotonic() - self._alone_since >= self._seconds_alone:
                raise GaveUp(reason) from error
        self._trainer.wait(min(0.25 * 2**failures, LONGEST_PAUSE))
