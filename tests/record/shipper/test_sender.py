"""Items wait for a call's worth; a bad one costs only itself, and is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.record.shipper.sender import ITEMS_WAITING
from annpipe.record.shipper.thin import SeriesPoint
from annpipe.record.store.content import Content
from annpipe.record.store.faults import ItemRefused
from annpipe.record.store.items import Param, RunTag
from tests.record.shipper.shipping import Taking, sender


@pytest.fixture
def store() -> Taking:
    return Taking()


def test_points_wait_until_there_is_a_call_of_them(store: Taking, tmp_path: Path) -> None:
    """A long line goes in whole calls, and the rest when it is drained."""
    sending = sender(store, tmp_path)
    for step in range(2 * ITEMS_WAITING - 1):
        sending.point("a", SeriesPoint(step, 1.0, step))
    assert (sending.has_enough, store.calls) == (True, [])
    sending.point("a", SeriesPoint(0, 1.0, 0))
    assert [len(call) for call in store.calls] == [ITEMS_WAITING]
    sending.drain()
    assert [len(call) for call in store.calls] == [ITEMS_WAITING, ITEMS_WAITING]


def test_a_bad_item_costs_only_itself(store: Taking, tmp_path: Path) -> None:
    """It is told once, and the state has it."""
    sending = sender(store, tmp_path)
    sending.facts([Param("a", "1"), RunTag("bad", "2"), Param("b", "3")])
    sending.drain()
    assert sorted(name for call in store.calls for name in call) == ["param a", "param b"]
    assert sending.state.refused == ("tag bad: no",)
    sending.refuse("tag bad", ItemRefused("no"))
    assert sending.state.refused == ("tag bad: no",)


def test_a_sender_that_mends_sends_what_is_wanted(store: Taking, tmp_path: Path) -> None:
    """No point that is present, no item that is not lacking, no status that is right."""
    wanted = Content(None, frozenset({"param a"}), {"x": 1})
    sending = sender(store, tmp_path, wanted=wanted, present={"x": {(1, 10)}})
    sending.facts([Param("a", "1"), Param("b", "2")])
    for key, step in (("x", 1), ("x", 2), ("y", 1)):
        sending.point(key, SeriesPoint(step, 0.5, 10 * step))
    sending.drain()
    sending.end("FINISHED", 1)
    assert sending.offer("artifact a.txt", lambda: 1) is None
    assert store.calls == [["param a", "metric x"]]
    assert sending.is_mending
