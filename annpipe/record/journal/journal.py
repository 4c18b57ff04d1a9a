"""The journal of a run: an append-only file of events, complete up to the last line written.

A line that the disk has no room for waits in memory, and is tried again with the next one; `lines` tells what a line
looks like.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from annpipe.errors import RunError
from annpipe.errors.redact import scrubbed
from annpipe.observer import SILENT, Observer
from annpipe.record.journal.lines import FILE as FILE  # all of a journal is had from here
from annpipe.record.journal.lines import Event as Event
from annpipe.record.journal.lines import damage_said as damage_said
from annpipe.record.journal.lines import damaged_lines as damaged_lines
from annpipe.record.journal.lines import dump, last_steps, load
from annpipe.record.journal.lines import lines as lines
from annpipe.record.journal.lines import points as points

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
RESERVE = ".reserve"  # a file whose room is given to a run's last words when the disk is full
RESERVE_BYTES = 1 << 16
MOST_WAITING = 1 << 26  # bytes of lines in memory
SECONDS_FOR_ROOM = 5.0  # that the last words are tried for
FULL = (errno.ENOSPC, errno.EDQUOT)


class Journal:
    """The trainer's pen: every call appends one whole line; the file stays locked for as long as it lives."""

    def __init__(self, descriptor: int, folder: Path, last_steps: dict[str, int], observer: Observer) -> None:
        self._descriptor = descriptor
        self._folder = folder
        self._last_steps = last_steps
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ended: Status | None = None
        self._observer = observer  # told when lines begin to wait, and when all are written

    @classmethod
    def create(cls, folder: Path, observer: Observer = SILENT) -> Self:
        """Begins the journal of a new run; raises FileExistsError when there is one."""
        descriptor = os.open(folder / FILE, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
        _lock(descriptor, folder)
        _set_aside(folder)
        return cls(descriptor, folder, {}, observer)

    @classmethod
    def reopen(cls, folder: Path, observer: Observer = SILENT) -> Self:
        """Goes on with a run: cuts off a torn last line and learns which points are there already.

        Raises RunError while another process holds the run.
        """
        descriptor = os.open(folder / FILE, os.O_RDWR | os.O_APPEND)
        _lock(descriptor, folder)
        found: dict[str, int] = {}
        end = 0
        with open(folder / FILE, "rb") as file:
            for event, place in lines(file):
                end = place
                for key, step in last_steps(event):
                    found[key] = max(step, found.get(key, step))
        os.ftruncate(descriptor, end)
        _set_aside(folder)
        return cls(descriptor, folder, found, observer)

    def last_step(self, key: str) -> int | None:
        """The highest step journaled for `key`; None when there is none."""
        return self._last_steps.get(key)

    def write(self, event: str, **fields: object) -> None:
        """Appends one event, without the credentials of any URI in it."""
        self._append({"event": event, **scrubbed(fields)})

    def series(self, key: str, first_step: int, values: Sequence[float], begin_ms: int, end_ms: int) -> None:
        """Appends the points of consecutive steps; points that the journal has already are left out.

        `begin_ms` is when the step before the first ended, `end_ms` when the last one did.
        """
        known = self._last_steps.get(key)
        skip = 0 if known is None else min(max(0, known - first_step + 1), len(values))
        if skip == len(values):
            return
        begin = round(begin_ms + (end_ms - begin_ms) * skip / len(values))
        points = {"first": first_step + skip, "values": list(values[skip:]), "begin": begin, "end": end_ms}
        self._append({"event": "series", "key": key, **points})
        self._last_steps[key] = first_step + len(values) - 1

    def metrics(self, step: int, values: Mapping[str, float], time_ms: int) -> None:
        """Appends one step's values; those that the journal has already are left out."""
        new = {key: value for key, value in values.items() if step > self._last_steps.get(key, step - 1)}
        if new:
            self.write("metrics", step=step, time=time_ms, values=new)
            self._last_steps.update(dict.fromkeys(new, step))

    def end(self, status: Status, error: str | None = None) -> None:
        """Writes how the run ended, as its last words: `close` finds room for them where it can."""
        self._ended = status
        self.write("end", status=status, time=now_ms(), error=error)

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
            os.close(self._descriptor)
            self._descriptor = -1
            with suppress(OSError):
                os.unlink(self._folder / RESERVE)

    def _append(self, event: Event) -> None:
        line = dump(event)
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


def read(folder: Path) -> Iterator[Event]:
    """The events of a run in order, complete lines only."""
    with open(folder / FILE, "rb") as file:
        for event, _ in lines(file):
            yield event


def status(folder: Path) -> Status:
    """The truth about a run: RUNNING while a trainer holds its journal, else how it ended.

    A run that nobody holds and that wrote no end was KILLED.
    """
    if is_held(folder):
        return "RUNNING"
    end = last_line(folder, '{"event":"end"')
    resumed = last_line(folder, '{"event":"resumed"')
    if end is None or (resumed is not None and resumed[1] > end[1]):
        return "KILLED"
    found: Status = end[0]["status"]
    return found


def lacks_files(folder: Path) -> bool:
    """Whether a run that finished could not write a file that `annpipe resume` makes from its checkpoint."""
    lacking = last_line(folder, '{"event":"unwritten"')
    resumed = last_line(folder, '{"event":"resumed"')
    return lacking is not None and (resumed is None or resumed[1] < lacking[1])


def is_held(folder: Path) -> bool:
    """Whether a trainer has the run open."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def complete_size(folder: Path) -> int:
    """How many bytes of the journal there are up to the end of its last whole and undamaged line."""
    path = folder / FILE
    if not path.is_file() or path.stat().st_size == 0:
        return 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = text.rfind(b"\n") + 1
        while end:
            begin = text.rfind(b"\n", 0, end - 1) + 1
            if load(text[begin:end]) is not None:
                break
            end = begin
        return end


def last_line(folder: Path, text: str) -> tuple[Event, int] | None:
    """The last complete line with `text` in it, and its offset; found from the end, without reading the whole."""
    path = folder / FILE
    if not path.is_file() or path.stat().st_size == 0:
        return None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as journal:
        end = journal.rfind(b"\n") + 1
        while (at := journal.rfind(text.encode(), 0, end)) >= 0:
            begin = journal.rfind(b"\n", 0, at) + 1
            event = load(journal[begin : journal.find(b"\n", at)])
            if event is not None:
                return event, begin
            end = begin
    return None


def _lock(descriptor: int, folder: Path) -> None:
    # A reader that asks for the status holds a shared lock for microseconds: try for a moment before giving up.
    for _ in range(50):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return
    os.close(descriptor)
    raise RunError(f"run {folder.name} is still running in another process; stop that one first")


def _set_aside(folder: Path) -> None:
    """Takes some room of the disk, to be given to the last words; goes without where there is none."""
    with suppress(OSError):
        descriptor = os.open(folder / RESERVE, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
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
