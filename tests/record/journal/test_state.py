"""How far a record has come: a file for each store, read as nothing where it is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annpipe.record.journal.journal import Journal
from annpipe.record.journal.state import FILE, Shipped, is_recorded, read_state, sole_shipper, write_state

FIRST, OTHER = "http://first", "http://other"
STATE = Shipped(store=FIRST, run_id="1", offset=7, refused=("a",), expected={"items": []})


def test_each_store_has_a_state_of_its_own(tmp_path: Path) -> None:
    """The first that has the run is the one that is meant where none is named; no credentials are written."""
    assert read_state(tmp_path) == Shipped()
    write_state(tmp_path, STATE)
    write_state(tmp_path, Shipped(store="http://ann:s3cret@other", run_id="2"))
    assert read_state(tmp_path) == read_state(tmp_path, f"{FIRST}/") == STATE
    assert read_state(tmp_path, "http://ann:s3cret@other").run_id == "2"
    assert read_state(tmp_path, "http://third") == Shipped(store="http://third")
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"store": 5}', '{"offset": -1}', '{"offset": true}', '{"complete": 1}', '{"refused": [1]}']
)
def test_a_file_that_is_no_state_says_nothing(text: str, tmp_path: Path) -> None:
    """The record then is made anew."""
    (tmp_path / FILE).write_text(text)
    assert read_state(tmp_path) == Shipped()


def test_members_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    """What is known is read."""
    (tmp_path / FILE).write_text(json.dumps({"store": FIRST, "run_id": "1", "colour": "blue"}))
    assert read_state(tmp_path) == Shipped(store=FIRST, run_id="1")


def test_a_run_is_recorded_when_the_store_has_all_of_its_journal(tmp_path: Path) -> None:
    """Not what was written since, and not in a database that is no longer there."""
    pen = Journal.create(tmp_path)
    pen.end("FINISHED")
    pen.close()
    size = (tmp_path / "journal.jsonl").stat().st_size
    for store, offset, expected in ((FIRST, size, True), (FIRST, size - 1, False), ("sqlite:////none.db", size, False)):
        (tmp_path / FILE).unlink(missing_ok=True)
        write_state(tmp_path, Shipped(store=store, run_id="1", offset=offset, complete=True))
        assert is_recorded(tmp_path) is expected


def test_one_shipper_at_a_time(tmp_path: Path) -> None:
    """The second is told, and the next one after it may."""
    with sole_shipper(tmp_path) as first, sole_shipper(tmp_path) as second:
        assert (first, second) == (True, False)
    with sole_shipper(tmp_path) as third:
        assert third
