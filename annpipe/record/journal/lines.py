"""The lines of a journal: events as JSON with a check sum each, written and read back.

`{"event":"metrics",…,"crc":"8f1c02d7"}`: the sum is the CRC-32 of all before it. Journals of version 1 (see `events`)
have none and are read as they are; within one file lines without a sum may only stand before those that have one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from annpipe.files.whole import seal, seal_holds
from annpipe.record.journal.events import Event, MetricPoints, RunBegun, SeriesPoints, from_data, without_infinities

FILE = "journal.jsonl"
LONGEST_FIRST = 1 << 26  # bytes; a run event with 10,000 params is 1 MB


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


def damaged_lines(folder: Path) -> tuple[int, ...]:
    """The numbers, from 1, of a journal's lines that are not what was written; lines with a sum are not parsed."""
    numbers = []
    sealed = False
    with open(folder / FILE, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):  # torn by a kill, which is no damage, or whole but for its end
                numbers += [number] if seal_holds(line[:-1]) else []
                break
            holds = seal_holds(line[:-1])
            sealed = sealed or holds is True
            if holds is False or (holds is None and (sealed or load(line) is None)):
                numbers.append(number)
    return tuple(numbers)


def damage_text(numbers: Sequence[int]) -> str:
    """In words, which lines of a journal are damaged."""
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    line = f"line {shown} of its journal is" if len(numbers) == 1 else f"lines {shown} of its journal are"
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
