"""Each kind of event is written as the lines of earlier versions have it, and read back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal.events import (
    KINDS,
    ArtifactKept,
    DatasetUsed,
    Event,
    LengthChanged,
    MetricPoints,
    ModelSaved,
    RunBegun,
    RunEnded,
    RunResumed,
    SeriesPoints,
    TagsSet,
    TrialBegun,
    UnknownEvent,
    from_data,
    time_of,
    to_data,
)
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.lines import FILE, damaged_lines, dump, load

EARLIER = Path(__file__).parents[1] / "earlier_runs"
# As the versions before these definitions wrote them, check sums aside.
LINES: dict[str, Event] = {
    '{"event":"tags","tags":{"annpipe.gear":"eager"}}': TagsSet(tags={"annpipe.gear": "eager"}),
    '{"event":"series","key":"train/loss","first":1,"values":[0.5,0.25],"begin":0,"end":4}': SeriesPoints(
        key="train/loss", first=1, values=[0.5, 0.25], begin=0, end=4
    ),
    '{"event":"metrics","step":3,"time":9,"values":{"lr":0.1}}': MetricPoints(step=3, time=9, values={"lr": 0.1}),
    '{"event":"dataset","dataset":{"name":"csv","digest":"ab"}}': DatasetUsed(dataset={"name": "csv", "digest": "ab"}),
    '{"event":"artifact","file":"plan.yaml","to":""}': ArtifactKept(file="plan.yaml", to=""),
    '{"event":"model","folder":"model"}': ModelSaved(folder="model"),
    '{"event":"resumed","time":5,"step":2}': RunResumed(time=5, step=2),
    '{"event":"length","time":5,"step":30,"before":10,"plan":"ab","epochs":20,"steps":null}': LengthChanged(
        time=5, step=30, before=10, plan="ab", epochs=20
    ),
    '{"event":"begun","run":"trial-1","time":5}': TrialBegun(run="trial-1", time=5),
    '{"event":"end","status":"FINISHED","time":7,"error":null}': RunEnded(status="FINISHED", time=7),
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: json.loads(line)["event"])
def test_an_event_is_the_line_that_it_was(line: str) -> None:
    """The order of the members too: readers look for how a line begins."""
    assert json.dumps(to_data(LINES[line]), separators=(",", ":")) == line
    assert from_data(json.loads(line)) == LINES[line]


@pytest.mark.parametrize("path", sorted(EARLIER.glob("*/journal.jsonl")), ids=lambda path: path.parent.name)
def test_journals_of_an_earlier_version_are_read_and_written_alike(path: Path) -> None:
    """Line by line, and byte by byte."""
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > 15
    for line in lines:
        event = load(line)
        assert event is not None
        assert not isinstance(event, UnknownEvent)
        assert dump(to_data(event)) == line


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_a_newer_version_are_passed_over(kind: str) -> None:
    """What is known of the event is read."""
    event = next((event for event in LINES.values() if event.kind == kind), None) or _smallest(kind)
    assert from_data(to_data(event) | {"colour": ["blue"]}) == event


def test_events_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    """They are no damage, they tell no time, and they are kept as they are."""
    data = {"event": "weather", "tags": 5, "time": "noon"}
    event = from_data(data)
    assert event == UnknownEvent(members=data)
    assert to_data(event) == data
    assert time_of(event) is None
    (tmp_path / FILE).write_bytes(dump(data))
    assert damaged_lines(tmp_path) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"event": 3}, {"event": "run", "time": "now"}, {"event": "run", "name": ["a"]}, [1], "run"),
        *({"event": "run", "tags": {"a": 1}}, {"event": "end", "status": "GONE", "time": 1}, {"event": "end"}),
        {"event": "metrics", "step": 1.5, "time": 1, "values": {}},
        {"event": "metrics", "step": 1, "time": 1, "values": {"a": "much"}},
        {"event": "series", "key": "a", "first": True, "values": [], "begin": 0, "end": 0},
        {"event": "series", "key": "a", "first": 1, "values": [None], "begin": 0, "end": 0},
        {"event": "artifact", "file": None},
    ],
    ids=str,
)
def test_an_event_of_other_types_is_none(wrong: Any) -> None:
    """Its readers need not ask again."""
    assert from_data(wrong) is None


def test_numbers_that_json_lacks_are_read_as_numbers() -> None:
    """They are written as words."""
    event = from_data({"event": "series", "key": "a", "first": 1, "values": ["inf", 2], "begin": 0, "end": 1})
    assert isinstance(event, SeriesPoints)
    assert event.values == [float("inf"), 2.0]
    assert all(type(value) is float for value in event.values)


def test_a_journal_writes_no_credentials(tmp_path: Path) -> None:
    """Of any event, wherever in it a URI stands."""
    pen = Journal.create(tmp_path)
    pen.write(RunBegun(tracking_uri="http://ann:s3cret@host", params={"a": ["http://ann:s3cret@host"]}))
    pen.close()
    assert b"s3cret" not in (tmp_path / FILE).read_bytes()


def _smallest(kind: str) -> Event:
    """An event of a kind with nothing but what it needs."""
    event = from_data({"event": kind, "run": "trial-1"})
    assert event is not None
    return event
