"""The journal: complete lines, no duplicates, and the truth about how a run ended."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from annpipe.errors import RunError
from annpipe.record.journal import journal
from annpipe.record.journal.events import RunEnded, RunResumed, TagsSet
from annpipe.record.journal.journal import Journal


def events(folder: Path) -> list[journal.Event]:
    """All events of a run."""
    return list(journal.read(folder))


def test_every_line_is_strict_json_also_with_nan_and_infinity(tmp_path: Path) -> None:
    """JSON knows no nan: it is written as a string, and comes back as a number from `points`."""
    pen = Journal.create(tmp_path)
    pen.series("train/loss", 1, [1.0, math.nan, math.inf, -math.inf], 0, 4)
    pen.metrics(4, {"val/loss": math.nan}, 9)
    pen.close()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for line in (tmp_path / journal.FILE).read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    found = [point for event in events(tmp_path) for point in journal.points(event)]
    assert [point[2] for point in found[:1] + found[2:4]] == [1.0, math.inf, -math.inf]
    assert math.isnan(found[1][2])
    assert math.isnan(found[4][2])


def test_the_time_of_each_point_is_interpolated(tmp_path: Path) -> None:
    """The first point ends one step after `begin`, the last one at `end`."""
    pen = Journal.create(tmp_path)
    pen.series("train/loss", 5, [0.1, 0.2, 0.3, 0.4], 1000, 1400)
    pen.close()
    (event,) = events(tmp_path)
    assert [(step, time) for _, step, _, time in journal.points(event)] == [(5, 1100), (6, 1200), (7, 1300), (8, 1400)]


def test_floats_survive_bit_for_bit(tmp_path: Path) -> None:
    """What is read back is the very number that was written."""
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 2.0**-30]
    pen = Journal.create(tmp_path)
    pen.series("train/loss", 1, values, 0, 5)
    pen.close()
    assert [value for _, _, value, _ in journal.points(events(tmp_path)[0])] == values


def test_reopening_cuts_off_a_torn_line_and_drops_points_that_are_there(tmp_path: Path) -> None:
    """A resumed run computes some steps again: the journal keeps each once."""
    pen = Journal.create(tmp_path)
    pen.series("train/loss", 1, [1.0, 2.0, 3.0], 0, 3)
    pen.metrics(3, {"val/loss": 5.0}, 3)
    pen.close()
    with open(tmp_path / journal.FILE, "ab") as file:
        file.write(b'{"event":"series","key":"train/loss","fir')
    pen = Journal.reopen(tmp_path)
    assert pen.last_step("train/loss") == 3
    assert pen.last_step("lr") is None
    pen.series("train/loss", 2, [2.0, 3.0, 4.0, 5.0], 10, 14)
    pen.series("train/loss", 2, [2.0, 3.0], 10, 14)
    pen.metrics(3, {"val/loss": 5.0, "val/accuracy": 0.5}, 14)
    pen.metrics(3, {"val/loss": 5.0}, 14)
    pen.close()
    found = [point for event in events(tmp_path) for point in journal.points(event)]
    losses = [(step, value, time) for key, step, value, time in found if key == "train/loss"]
    assert losses == [(1, 1.0, 1), (2, 2.0, 2), (3, 3.0, 3), (4, 4.0, 13), (5, 5.0, 14)]
    assert [(key, value) for key, _, value, _ in found if key.startswith("val")] == [
        ("val/loss", 5.0),
        ("val/accuracy", 0.5),
    ]


def test_a_value_of_the_whole_run_has_a_point_more_where_it_is_another(tmp_path: Path) -> None:
    """A resumed end writes nothing twice, a longer run its new end; nan is itself."""
    pen = Journal.create(tmp_path)
    pen.single_values({"final/val/loss": 0.5, "best/val/loss": 0.4, "final/val/r2": math.nan}, 1)
    pen.close()
    pen = Journal.reopen(tmp_path)
    pen.single_values({"final/val/loss": 0.5, "best/val/loss": 0.4, "final/val/r2": math.nan}, 2)
    pen.single_values({"final/val/loss": 0.3, "best/val/loss": 0.4, "final/val/r2": math.nan}, 3)
    pen.close()
    points = [point for event in events(tmp_path) for point in journal.points(event)]
    assert [(key, step, time) for key, step, _, time in points] == [
        ("final/val/loss", 0, 1),
        ("best/val/loss", 0, 1),
        ("final/val/r2", 0, 1),
        ("final/val/loss", 1, 3),
    ]


def test_a_reader_sees_complete_lines_only(tmp_path: Path) -> None:
    """A line that is being written is not there yet."""
    pen = Journal.create(tmp_path)
    pen.write(TagsSet(tags={"a": "b"}))
    with open(tmp_path / journal.FILE, "ab") as file:
        file.write(b'{"event":"end","status":"FINISHED","time":1,"error":null}')
    assert [event.kind for event in events(tmp_path)] == ["tags"]
    pen.close()
    assert journal.status(tmp_path) == "KILLED"


def test_status_tells_how_a_run_ended(tmp_path: Path) -> None:
    """Held: RUNNING; an end: what it says; resumed since, or no end at all: KILLED."""
    pen = Journal.create(tmp_path)
    assert journal.status(tmp_path) == "RUNNING"
    pen.close()
    pen.close()
    assert journal.status(tmp_path) == "KILLED"
    for status in ("FAILED", "KILLED", "FINISHED"):
        pen = Journal.reopen(tmp_path)
        pen.write(RunEnded(status=status, time=1, error=None))
        assert journal.status(tmp_path) == "RUNNING"
        pen.close()
        assert journal.status(tmp_path) == status
    pen = Journal.reopen(tmp_path)
    pen.write(RunResumed(time=2, step=5))
    pen.close()
    assert journal.status(tmp_path) == "KILLED"


def test_a_run_that_is_held_cannot_be_opened_twice(tmp_path: Path) -> None:
    """Two trainers in one journal would mix their points."""
    pen = Journal.create(tmp_path)
    with pytest.raises(RunError, match="still running"):
        Journal.reopen(tmp_path)
    pen.close()
    Journal.reopen(tmp_path).close()
    with pytest.raises(FileExistsError):
        Journal.create(tmp_path)
