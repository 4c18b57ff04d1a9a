"""The lines of a journal: events as JSON with a check sum each, written, read back in order, and found from the end.

`{"event":"metrics",…,"crc":"8f1c02d7"}`: the sum is the CRC-32 of all before it. Journals of version 1 (see `events`)
have none and are read as they are; within one file lines without a sum may only stand before those that have one.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from annpipe.files import lock
from annpipe.files.whole import seal, seal_holds
from annpipe.record.journal.events import (
    Event,
    FileUnwritten,
    MetricPoints,
    RunBegun,
    RunEnded,
    RunResumed,
    SeriesPoints,
    Status,
    from_data,
    without_infinities,
)

FILE = "journal.jsonl"
SYSTEM_FILE = "system.jsonl"  # samples of the machine, in lines like those of the journal
LONGEST_FIRST = 1 << 26  # bytes; a run event with 10,000 params is 1 MB
E = TypeVar("E", bound=Event)


def dump(data: Mapping[str, Any]) -> bytes:
    """The data of an event as a line with its check sum."""
    try:
        text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(without_infinities(data), allow_nan=False, separators=(",", ":"))
    return seal(text) + b"\n"


def load(line: bytes) -> Event | None:
    """The event of a line; None where the line is not what was written, or no event of a run."""
    line = line.rstrip(b"\n")
    holds = seal_holds(line)
    if holds is False:
        return None
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if holds and isinstance(data, dict):
        del data["crc"]
    return from_data(data)


def lines(file: BinaryIO) -> Iterator[tuple[Event, int]]:
    """The events from the file's position on, each with the offset behind its line; stops before a torn line.

    Damaged lines are left out, see `damaged_lines`.
    """
    end = file.tell()
    sealed = False
    while (line := file.readline()).endswith(b"\n"):
        end += len(line)
        has_seal = seal_holds(line[:-1]) is not None
        event = None if sealed and not has_seal else load(line)
        if event is not None:
            sealed = has_seal
            yield event, end
    file.seek(end)


def damaged_lines(folder: Path, name: str = FILE) -> tuple[int, ...]:
    """The numbers, from 1, of a journal's lines that are not what was written; lines with a sum are not parsed.

    Of `SYSTEM_FILE` those of the samples, none where a run has no such file.
    """
    numbers = []
    sealed = False
    path = folder / name
    if name == SYSTEM_FILE and (path.is_symlink() or not path.is_file()):
        return ()
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):  # torn by a kill, which is no damage, or whole but for its end
                numbers += [number] if seal_holds(line[:-1]) else []
                break
            holds = seal_holds(line[:-1])
            sealed = sealed or holds is True
            if holds is False or (holds is None and (sealed or load(line) is None)):
                numbers.append(number)
    return tuple(numbers)


def damage_text(numbers: Sequence[int], name: str = FILE) -> str:
    """In words, which lines of a journal, or of `SYSTEM_FILE`, are damaged."""
    of = "its journal" if name == FILE else f"its {name}"
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    line = f"line {shown} of {of} is" if len(numbers) == 1 else f"lines {shown} of {of} are"
    return f"{line} damaged: what stood there is left out, and nothing else"


def first_event(folder: Path) -> Event | None:
    """The event of a journal's first line; None where it is torn, damaged or longer than any that is written."""
    with open(folder / FILE, "rb") as file:
        line = file.readline(LONGEST_FIRST)
    return load(line) if line.endswith(b"\n") else None


def run_begun(folder: Path) -> RunBegun:
    """The first event of a run; one without any facts where the journal does not begin with a run."""
    first = first_event(folder)
    return first if isinstance(first, RunBegun) else RunBegun()


def points(event: Event) -> Iterator[tuple[str, int, float, int]]:
    """The (key, step, value, time in ms) points of an event; none of one that has no series or metrics."""
    if isinstance(event, SeriesPoints):
        n, begin = len(event.values), event.begin
        for index, value in enumerate(event.values):
            yield event.key, event.first + index, value, round(begin + (event.end - begin) * (index + 1) / n)
    elif isinstance(event, MetricPoints):
        for key, value in event.values.items():
            yield key, event.step, value, event.time


def last_steps(event: Event) -> Iterator[tuple[str, int]]:
    """The highest step of each key that an event has points of."""
    if isinstance(event, SeriesPoints):
        yield event.key, event.first + len(event.values) - 1
    elif isinstance(event, MetricPoints):
        yield from ((key, event.step) for key in event.values)


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
    return lock.is_held(folder / FILE)


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
