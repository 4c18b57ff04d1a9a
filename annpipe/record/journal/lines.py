"""The lines of a journal: events as JSON with a check sum each, written and read back.

`{"event":"metrics",…,"crc":"8f1c02d7"}`: the sum is the CRC-32 of all before it (format 2). Journals of format 1 have
none and are read as they are; within one file lines without a sum may only stand before those that have one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from annpipe.files.whole import seal, seal_holds

FILE = "journal.jsonl"
Event = dict[str, Any]
STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED")
LATEST_MS = 253_402_300_799_000  # the end of the year 9999
LONGEST_FIRST = 1 << 26  # bytes; a run event with 10,000 params is 1 MB
_NOT_FINITE = ("nan", "inf", "-inf")


def dump(event: Event) -> bytes:
    """An event as a line with its check sum."""
    try:
        text = json.dumps(event, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_strict(event), allow_nan=False, separators=(",", ":"))
    return seal(text) + b"\n"


def load(line: bytes) -> Event | None:
    """The event of a line; None where the line is not what was written, or no event of a run."""
    line = line.rstrip(b"\n")
    holds = seal_holds(line)
    if holds is False:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not _is_sound(event):
        return None
    if holds:
        del event["crc"]
    return event


def lines(file: BinaryIO) -> Iterator[tuple[Event, int]]:
    """The events from the file's place on, each with the offset behind its line; stops before a torn line.

    Damaged lines are left out: `damaged_lines` tells them.
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
    found = []
    sealed = False
    with open(folder / FILE, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):  # torn by a kill, which is no damage, or whole but for its end
                found += [number] if seal_holds(line[:-1]) else []
                break
            holds = seal_holds(line[:-1])
            sealed = sealed or holds is True
            if holds is False or (holds is None and (sealed or load(line) is None)):
                found.append(number)
    return tuple(found)


def damage_said(numbers: Sequence[int]) -> str:
    """In words, which lines of a journal are damaged."""
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    line = f"line {shown} of its journal is" if len(numbers) == 1 else f"lines {shown} of its journal are"
    return f"{line} damaged: what stood there is left out, and nothing else"


def first_event(folder: Path) -> Event | None:
    """The event of a journal's first line; None where it is torn, damaged or longer than any that is written."""
    with open(folder / FILE, "rb") as file:
        line = file.readline(LONGEST_FIRST)
    return load(line) if line.endswith(b"\n") else None


def points(event: Event) -> Iterator[tuple[str, int, float, int]]:
    """The (key, step, value, time in ms) points of a `series` or `metrics` event; none of another."""
    if event["event"] == "series":
        key, first, values, begin, end = (event[name] for name in ("key", "first", "values", "begin", "end"))
        for index, value in enumerate(values):
            yield key, first + index, float(value), round(begin + (end - begin) * (index + 1) / len(values))
    elif event["event"] == "metrics":
        for key, value in event["values"].items():
            yield key, event["step"], float(value), event["time"]


def last_steps(event: Event) -> Iterator[tuple[str, int]]:
    """The highest step of each key that an event has points of."""
    if event["event"] == "series":
        yield event["key"], event["first"] + len(event["values"]) - 1
    elif event["event"] == "metrics":
        yield from ((key, event["step"]) for key in event["values"])


def _strict(value: object) -> object:
    """JSON has no nan and no infinity: they are written as strings that `float` reads."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def _is_sound(event: Event) -> bool:
    """Whether an event has what its readers take from one of its kind, in the types that they take."""
    kind = event.get("event")
    if not isinstance(kind, str) or not all(_is_mapping(event.get(name)) for name in ("tags", "params", "dataset")):
        return False
    if not all(isinstance(value, str) for value in (event.get("tags") or {}).values()):
        return False
    if not all(_is_time(event[name]) for name in ("time", "begin", "end") if event.get(name) is not None):
        return False
    match kind:
        case "run":
            names = [event.get(name) for name in ("id", "name", "experiment", "tracking_uri", "parent", "description")]
            return all(name is None or isinstance(name, str) for name in names)
        case "series":
            return _is_series(event)
        case "metrics":
            values = event.get("values")
            return (
                isinstance(values, dict)
                and _is_whole(event.get("step"))
                and event.get("time") is not None
                and all(map(_is_number, values.values()))
            )
        case "artifact":
            return isinstance(event.get("file"), str) and isinstance(event.get("to"), str | None)
        case "model":
            return isinstance(event.get("folder"), str)
        case "begun" | "trial":
            return isinstance(event.get("run"), str)
        case "end":
            return event.get("status") in STATUSES and event.get("time") is not None
    return True


def _is_series(event: Event) -> bool:
    values = event.get("values")
    return (
        isinstance(values, list)
        and isinstance(event.get("key"), str)
        and _is_whole(event.get("first"))
        and event.get("begin") is not None
        and event.get("end") is not None
        and all(type(value) is float or _is_number(value) for value in values)
    )


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return value in _NOT_FINITE
    return isinstance(value, float) or _is_whole(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_time(value: object) -> bool:
    return _is_whole(value) and 0 <= value <= LATEST_MS  # type: ignore[operator]  # a whole number by then


def _is_mapping(value: object) -> bool:
    return value is None or isinstance(value, dict)
