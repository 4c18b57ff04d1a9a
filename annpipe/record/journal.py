"""What happened in a run? An append-only file of JSON lines, complete up to the last one written."""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

from annpipe.errors import RunError
from annpipe.secrets import scrubbed

FILE = "journal.jsonl"
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
Event = dict[str, Any]


class Journal:
    """The trainer's pen: every call appends one whole line; the file stays locked for as long as it lives."""

    def __init__(self, descriptor: int, last_steps: dict[str, int]) -> None:
        self._descriptor = descriptor
        self._last_steps = last_steps

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Begins the journal of a new run; raises FileExistsError when there is one."""
        descriptor = os.open(folder / FILE, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
        _lock(descriptor, folder)
        return cls(descriptor, {})

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Goes on with a run: cuts off a torn last line and learns which points are there already.

        Raises RunError while another process holds the run.
        """
        descriptor = os.open(folder / FILE, os.O_RDWR | os.O_APPEND)
        _lock(descriptor, folder)
        last_steps: dict[str, int] = {}
        end = 0
        with open(folder / FILE, "rb") as file:
            for event, place in lines(file):
                end = place
                for key, step in _steps(event):
                    last_steps[key] = max(step, last_steps.get(key, step))
        os.ftruncate(descriptor, end)
        return cls(descriptor, last_steps)

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

    def sync(self) -> None:
        """Forces everything written so far onto the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Syncs, and lets go of the run; a second call does nothing."""
        if self._descriptor >= 0:
            self.sync()
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, event: Event) -> None:
        line = _dump(event) + "\n"
        _write_whole(self._descriptor, line.encode("ascii"))


def now_ms() -> int:
    """The time as the journal writes it: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def read(folder: Path) -> Iterator[Event]:
    """The events of a run in order, complete lines only."""
    with open(folder / FILE, "rb") as file:
        for event, _ in lines(file):
            yield event


def lines(file: BinaryIO) -> Iterator[tuple[Event, int]]:
    """The events from the file's place on, each with the offset behind its line; stops before a torn line."""
    end = file.tell()
    while (line := file.readline()).endswith(b"\n"):
        end += len(line)
        event = _load(line)
        if event is not None:
            yield event, end
    file.seek(end)


def points(event: Event) -> Iterator[tuple[str, int, float, int]]:
    """The (key, step, value, time in ms) points of a `series` or `metrics` event; none of another."""
    if event["event"] == "series":
        key, first, values, begin, end = (event[name] for name in ("key", "first", "values", "begin", "end"))
        for index, value in enumerate(values):
            yield key, first + index, float(value), round(begin + (end - begin) * (index + 1) / len(values))
    elif event["event"] == "metrics":
        for key, value in event["values"].items():
            yield key, event["step"], float(value), event["time"]


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


def is_held(folder: Path) -> bool:
    """Whether a trainer has the run open."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY)
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
    """How many bytes of the journal are whole lines."""
    path = folder / FILE
    if not path.is_file() or path.stat().st_size == 0:
        return 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.rfind(b"\n") + 1


def last_line(folder: Path, text: str) -> tuple[Event, int] | None:
    """The last complete line with `text` in it, and its offset; found from the end, without reading the whole."""
    path = folder / FILE
    if not path.is_file() or path.stat().st_size == 0:
        return None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as journal:
        at = journal.rfind(text.encode(), 0, journal.rfind(b"\n") + 1)
        if at < 0:
            return None
        begin = journal.rfind(b"\n", 0, at) + 1
        event = _load(journal[begin : journal.find(b"\n", at)])
        return None if event is None else (event, begin)


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


def _write_whole(descriptor: int, line: bytes) -> None:
    start = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, line)
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        # A full disk may have taken half a line: the next one must not be glued to it.
        os.ftruncate(descriptor, start)
        raise


def _dump(event: Event) -> str:
    try:
        return json.dumps(event, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_strict(event), allow_nan=False, separators=(",", ":"))


def _strict(value: object) -> object:
    """JSON has no nan and no infinity: they are written as strings that `float` reads."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def _load(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _steps(event: Event) -> Iterator[tuple[str, int]]:
    if event["event"] == "series":
        yield event["key"], event["first"] + len(event["values"]) - 1
    elif event["event"] == "metrics":
        yield from ((key, event["step"]) for key in event["values"])
