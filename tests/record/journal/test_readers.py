"""A journal is read from its end where its beginning does not matter."""

from __future__ import annotations

from pathlib import Path

from annpipe.record.journal.events import FileUnwritten, MetricPoints, RunEnded, RunResumed, TagsSet
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.lines import FILE
from annpipe.record.journal.readers import complete_size, is_held, lacks_files, last_event, last_line, read, status


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
