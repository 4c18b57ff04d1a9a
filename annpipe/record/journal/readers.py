"""Reads a journal: its events in order, the run's true status, and the last line of a kind, found from the end."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from annpipe.record.journal.events import Event, FileUnwritten, RunEnded, RunResumed, Status
from annpipe.record.journal.lines import FILE, lines, load

E = TypeVar("E", bound=Event)


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
    end = last_event(folder, RunEnded)
    resumed = last_event(folder, RunResumed)
    if end is None or (resumed is not None and resumed[1] > end[1]):
        return "KILLED"
    return end[0].status


def lacks_files(folder: Path) -> bool:
    """Whether a run that finished could not write a file that `annpipe resume` makes from its checkpoint."""
    lacking = last_event(folder, FileUnwritten)
    resumed = last_event(folder, RunResumed)
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


def last_event(folder: Path, kind: type[E]) -> tuple[E, int] | None:
    """The last event of a kind, and the offset of its line."""
    line = last_line(folder, f'{{"event":"{kind.kind}"')
    return (line[0], line[1]) if line is not None and isinstance(line[0], kind) else None


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
