"""The journal of a run: an append-only file of events, complete up to the last line written.

A line that the disk has no room for waits in memory, and is tried again with the next one. The events are defined in
`events`, and their lines are written and read in `lines`.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from annpipe.errors import RunError
from annpipe.errors.redact import scrubbed
from annpipe.files.descriptors import open_descriptor
from annpipe.files.lock import try_hold
from annpipe.observer import SILENT, Observer
from annpipe.record.journal.events import Event as Event  # all of a journal is had from here
from annpipe.record.journal.events import MetricPoints, RunEnded, SeriesPoints, to_data
from annpipe.record.journal.events import Status as Status
from annpipe.record.journal.lines import FILE as FILE
from annpipe.record.journal.lines import complete_size as complete_size
from annpipe.record.journal.lines import damage_text as damage_text
from annpipe.record.journal.lines import damaged_lines as damaged_lines
from annpipe.record.journal.lines import dump, last_steps
from annpipe.record.journal.lines import is_held as is_held
from annpipe.record.journal.lines import lacks_files as lacks_files
from annpipe.record.journal.lines import last_event as last_event
from annpipe.record.journal.lines import last_line as last_line
from annpipe.record.journal.lines import lines as lines
from annpipe.record.journal.lines import points as points
from annpipe.record.journal.lines import read as read
from annpipe.record.journal.lines import run_begun as run_begun
from annpipe.record.journal.lines import status as status

RESERVE = ".reserve"  # a file whose room is given to a run's last words when the disk is full
RESERVE_BYTES = 1 << 16
MOST_WAITING = 1 << 26  # bytes of lines in memory
SECONDS_FOR_ROOM = 5.0  # that the last words are tried for
SINGLE_VALUES = ("final", "best")  # what the keys of values of the whole run begin with
FULL = (errno.ENOSPC, errno.EDQUOT)


class Journal:
    """The trainer's pen: every call appends one whole line; the file stays locked for as long as it lives."""

    def __init__(
        self,
        descriptor: int,
        let_go: Callable[[], None],
        folder: Path,
        last_steps: dict[str, int],
        observer: Observer,
    ) -> None:
        self._descriptor, self._let_go = descriptor, let_go
        self._folder = folder
        self._last_steps = last_steps
        self._single_values: dict[str, float] = {}
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ended: Status | None = None
        self._observer = observer  # of lines that begin to wait, and of when all are written

    @classmethod
    def create(cls, folder: Path, observer: Observer = SILENT) -> Self:
        """Begins the journal of a new run; raises FileExistsError when there is one."""
        descriptor = open_descriptor(folder / FILE, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND)
        let_go = _lock(descriptor, folder)
        _set_aside(folder)
        return cls(descriptor, let_go, folder, {}, observer)

    @classmethod
    def reopen(cls, folder: Path, observer: Observer = SILENT) -> Self:
        """Goes on with a run: cuts off a torn last line and learns which points are there already.

        Raises RunError while another process holds the run.
        """
        descriptor = open_descriptor(folder / FILE, os.O_RDWR | os.O_APPEND)
        let_go = _lock(descriptor, folder)
        steps: dict[str, int] = {}
        values: dict[str, float] = {}
        end = 0
        with open(folder / FILE, "rb") as file:
            for event, offset in lines(file):
                end = offset
                for key, step in last_steps(event):
                    steps[key] = max(step, steps.get(key, step))
                if isinstance(event, MetricPoints):
                    values.update(_single(event.values))
        if os.fstat(descriptor).st_size != end:  # on Windows nothing is cut off while somebody reads
            os.ftruncate(descriptor, end)
        _set_aside(folder)
        journal = cls(descriptor, let_go, folder, steps, observer)
        journal._single_values = values
        return journal

    def last_step(self, key: str) -> int | None:
        """The highest step journaled for `key`; None when there is none."""
        return self._last_steps.get(key)

    def write(self, event: Event) -> None:
        """Appends one event, without the credentials of any URI in it."""
        self._append(scrubbed(to_data(event)))

    def series(self, key: str, first_step: int, values: Sequence[float], begin_ms: int, end_ms: int) -> None:
        """Appends the points of consecutive steps; points that the journal has already are left out.

        `begin_ms` is when the step before the first ended, `end_ms` when the last one did.
        """
        known = self._last_steps.get(key)
        skip = 0 if known is None else min(max(0, known - first_step + 1), len(values))
        if skip == len(values):
            return
        begin = round(begin_ms + (end_ms - begin_ms) * skip / len(values))
        kept = list(values[skip:])
        event = SeriesPoints(key=key, first=first_step + skip, values=kept, begin=begin, end=end_ms)
        self._append(to_data(event))  # a long series has no URIs to look for
        self._last_steps[key] = first_step + len(values) - 1

    def metrics(
        self, step: int, values: Mapping[str, float], time_ms: int, dataset: Mapping[str, str] | None = None
    ) -> None:
        """Appends one step's values; those that the journal has already are left out.

        `dataset` has name and digest of the rows that they were measured on, where these are not the run's own.
        """
        new = {key: value for key, value in values.items() if step > self._last_steps.get(key, step - 1)}
        if new:
            self.write(MetricPoints(step=step, time=time_ms, values=new, dataset=dataset))
            self._last_steps.update(dict.fromkeys(new, step))
            self._single_values.update(_single(new))

    def single_values(self, values: Mapping[str, float], time_ms: int) -> None:
        """Appends values of the whole run, at step 0; where the run was trained further, each that is another since has
        a point more."""
        steps: dict[int, dict[str, float]] = {}
        for key, value in values.items():
            if key not in self._single_values or str(self._single_values[key]) != str(float(value)):  # nan is itself
                steps.setdefault(self._last_steps.get(key, -1) + 1, {})[key] = value
        for step, new in steps.items():
            self.metrics(step, new, time_ms)

    def end(self, status: Status, error: str | None = None) -> None:
        """Writes how the run ended, as its last words: `close` finds room for them where it can."""
        self._ended = status
        self.write(RunEnded(status=status, time=now_ms(), error=error))

    def sync(self) -> bool:
        """Forces everything so far onto the disk; False where lines still wait, or the disk refuses."""
        if self._write_waiting() is not None:
            return False
        try:
            os.fsync(self._descriptor)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Syncs, and lets go of the run; a second call does nothing.

        Lines that wait are tried for some seconds more, then with the room that was set aside. Raises RunError where
        they cannot be written even so.
        """
        if self._descriptor < 0:
            return
        try:
            if (error := self._last_try()) is not None:
                raise RunError(
                    f"{len(self._waiting)} lines of the journal could not be written ({error.strerror}): "
                    f"its folder tells less than the run was; make room, then `annpipe resume {self._folder.name}`"
                )
            with suppress(OSError):
                os.fsync(self._descriptor)
        finally:
            self._let_go()
            os.close(self._descriptor)
            self._descriptor = -1
            with suppress(OSError):
                os.unlink(self._folder / RESERVE)

    def _append(self, data: Mapping[str, Any]) -> None:
        line = dump(data)
        waited = bool(self._waiting)
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        error = self._write_waiting()
        if error is not None:
            if not waited:
                self._observer.event(
                    f"warning: the journal cannot be written ({error.strerror}): its lines wait in memory, and are "
                    "tried again; no checkpoint is made meanwhile"
                )
            if self._waiting_bytes > MOST_WAITING and self._ended is None:
                raise RunError(f"the journal could not be written for too long ({error.strerror})") from error
        elif waited:
            self._observer.event("the journal is written again, with all that waited")

    def _write_waiting(self) -> OSError | None:
        """Writes the lines that wait, in their order; gives the reason where one cannot be written."""
        while self._waiting:
            try:
                _write_whole(self._descriptor, self._waiting[0])
            except OSError as error:
                return error
            self._waiting_bytes -= len(self._waiting.popleft())
        return None

    def _last_try(self) -> OSError | None:
        deadline = time.monotonic() + SECONDS_FOR_ROOM
        error = self._write_waiting()
        if error is not None and error.errno in FULL:
            with suppress(OSError):
                os.unlink(self._folder / RESERVE)
            error = self._write_waiting()
        while error is not None and time.monotonic() < deadline:
            time.sleep(0.2)
            error = self._write_waiting()
        if error is not None and self._ended not in (None, "FINISHED"):
            # A resumed run computes these points again, since no checkpoint is later than the journal.
            self._waiting = deque([self._waiting[-1]])
            error = self._write_waiting()
        return error


def now_ms() -> int:
    """The time as the journal writes it: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _single(values: Mapping[str, float]) -> dict[str, float]:
    """Those values that are of the whole run."""
    return {key: float(value) for key, value in values.items() if key.partition("/")[0] in SINGLE_VALUES}


def _lock(descriptor: int, folder: Path) -> Callable[[], None]:
    # A reader that asks for the status holds a shared lock for microseconds: try for a moment before giving up.
    for _ in range(50):
        if let_go := try_hold(folder / FILE, descriptor):
            return let_go
        time.sleep(0.02)
    os.close(descriptor)
    raise RunError(f"run {folder.name} is still running in another process; stop that one first")


def _set_aside(folder: Path) -> None:
    """Takes some room of the disk, to be given to the last words; goes without where there is none."""
    with suppress(OSError):
        descriptor = open_descriptor(folder / RESERVE, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, b"\0" * RESERVE_BYTES)
        finally:
            os.close(descriptor)


def _write_whole(descriptor: int, line: bytes) -> None:
    start = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, line)
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        # A full disk may have taken half a line: the next one must not be glued to it.
        with suppress(OSError):
            os.ftruncate(descriptor, start)
        raise
