"""The lines of a journal: what was written is read back, and damage is left out and named."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from annpipe.record.journal.events import (
    FileUnwritten,
    MetricPoints,
    RunBegun,
    RunEnded,
    RunResumed,
    SeriesPoints,
    TagsSet,
    to_data,
)
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.lines import (
    FILE,
    SYSTEM_FILE,
    complete_size,
    damage_text,
    damaged_lines,
    dump,
    first_event,
    is_held,
    lacks_files,
    last_event,
    last_line,
    last_steps,
    lines,
    load,
    points,
    read,
    run_begun,
    status,
)

LINE = dump({"event": "tags", "tags": {"a": "b"}})


def test_a_line_has_a_check_sum_and_its_event() -> None:
    """Any change of it is seen."""
    assert LINE.endswith(b'"}\n')
    assert load(LINE) == TagsSet(tags={"a": "b"})
    assert load(LINE.replace(b'"b"', b'"c"')) is None
    assert load(b'{"event":"tags","tags":{"a":"b"}}\n') == TagsSet(tags={"a": "b"})


@pytest.mark.parametrize("line", [b"", b"\n", b"null\n", b"[]\n", b"{}\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_what_is_no_event_is_none(line: bytes) -> None:
    """Whatever stands there."""
    assert load(line) is None


def test_reading_stops_before_a_torn_line_and_goes_on_behind_it() -> None:
    """The file stands where the torn line begins, so that the next call reads it when it is whole."""
    file = io.BytesIO(LINE + LINE[:10])
    assert [end for _, end in lines(file)] == [len(LINE)]
    assert file.tell() == len(LINE)
    file = io.BytesIO(LINE + LINE)
    file.seek(len(LINE))
    assert [end for _, end in lines(file)] == [2 * len(LINE)]


def test_lines_without_a_sum_stand_only_before_those_with_one(tmp_path: Path) -> None:
    """One behind them was put there by somebody else, or lost its sum."""
    bare = b'{"event":"tags","tags":{}}\n'
    (tmp_path / FILE).write_bytes(bare + LINE + bare + LINE.replace(b'"b"', b'"c"') + LINE)
    with open(tmp_path / FILE, "rb") as file:
        assert len(list(lines(file))) == 3
    assert damaged_lines(tmp_path) == (3, 4)
    assert damage_text((3, 4)).startswith("lines 3, 4 of its journal are damaged")
    assert damage_text((2,)).startswith("line 2 of its journal is damaged")
    assert "1, 2, 3, 4, 5 and 2 more" in damage_text(range(1, 8))


def test_the_samples_of_the_machine_are_looked_at_too(tmp_path: Path) -> None:
    """A run may have none; a link is not followed."""
    assert damaged_lines(tmp_path, SYSTEM_FILE) == ()
    (tmp_path / "other").write_bytes(b"x\n")
    (tmp_path / SYSTEM_FILE).symlink_to("other")
    assert damaged_lines(tmp_path, SYSTEM_FILE) == ()
    (tmp_path / SYSTEM_FILE).unlink()
    (tmp_path / SYSTEM_FILE).write_bytes(LINE + LINE.replace(b'"b"', b'"c"'))
    assert damage_text(damaged_lines(tmp_path, SYSTEM_FILE), SYSTEM_FILE).startswith("line 2 of its system.jsonl is")


def test_the_first_event_says_which_run_it_is(tmp_path: Path) -> None:
    """A journal that begins otherwise has no facts."""
    begun = RunBegun(id="a", name="b")
    (tmp_path / FILE).write_bytes(dump(to_data(begun)) + LINE)
    assert first_event(tmp_path) == run_begun(tmp_path) == begun
    (tmp_path / FILE).write_bytes(LINE)
    assert first_event(tmp_path) == TagsSet(tags={"a": "b"})
    assert run_begun(tmp_path) == RunBegun()
    (tmp_path / FILE).write_bytes(LINE[:-1])
    assert first_event(tmp_path) is None


def test_points_and_last_steps_are_those_of_series_and_metrics() -> None:
    """Other events have none."""
    series = SeriesPoints(key="a", first=5, values=[1.0, 2.0], begin=100, end=104)
    assert list(points(series)) == [("a", 5, 1.0, 102), ("a", 6, 2.0, 104)]
    assert list(last_steps(series)) == [("a", 6)]
    metrics = MetricPoints(step=3, time=9, values={"a": 1.0, "b": 2.0})
    assert list(points(metrics)) == [("a", 3, 1.0, 9), ("b", 3, 2.0, 9)]
    assert list(last_steps(metrics)) == [("a", 3), ("b", 3)]
    assert list(points(TagsSet())) == list(last_steps(TagsSet())) == []


def test_the_last_event_of_a_kind_is_found_with_its_offset(tmp_path: Path) -> None:
    """Text that looks like one inside another event is none."""
    assert last_event(tmp_path, RunEnded) is None
    pen = Journal.create(tmp_path)
    pen.end("FAILED")
    offset = (tmp_path / FILE).stat().st_size
    pen.end("FINISHED")
    pen.write(TagsSet(tags={"a": '{"event":"end","status":"KILLED","time":1}'}))
    pen.close()
    found = last_event(tmp_path, RunEnded)
    assert found is not None
    assert (found[0].status, found[1]) == ("FINISHED", offset)
    assert last_event(tmp_path, RunResumed) is None
    assert [type(event) for event in read(tmp_path)] == [RunEnded, RunEnded, TagsSet]


def test_a_damaged_last_line_is_passed_over(tmp_path: Path) -> None:
    """The one before it counts, and the size that is complete ends before the damage."""
    pen = Journal.create(tmp_path)
    pen.metrics(1, {"a": 1.0}, 1)
    whole = (tmp_path / FILE).stat().st_size
    pen.metrics(2, {"a": 2.0}, 2)
    pen.close()
    text = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(text.replace(b'"a":2.0', b'"a":3.0'))
    assert last_line(tmp_path, '"a":') == (MetricPoints(step=1, time=1, values={"a": 1.0}), 0)
    assert complete_size(tmp_path) == whole
    (tmp_path / FILE).write_bytes(text[:-3])
    assert complete_size(tmp_path) == whole
    (tmp_path / FILE).write_bytes(b"")
    assert complete_size(tmp_path) == 0


def test_a_file_that_was_not_written_is_lacked_until_the_run_is_resumed(tmp_path: Path) -> None:
    """`annpipe resume` makes it then."""
    pen = Journal.create(tmp_path)
    assert is_held(tmp_path)
    pen.write(FileUnwritten(file="model", time=1, reason="full"))
    pen.end("FINISHED")
    pen.close()
    assert not is_held(tmp_path)
    assert (status(tmp_path), lacks_files(tmp_path)) == ("FINISHED", True)
    pen = Journal.reopen(tmp_path)
    pen.write(RunResumed(time=2, step=1))
    pen.close()
    assert (status(tmp_path), lacks_files(tmp_path)) == ("KILLED", False)
