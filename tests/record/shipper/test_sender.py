"""Items wait for a call's worth; a bad one costs only itself, and is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from annpipe.record.journal.state import Shipped
from annpipe.record.shipper.files import RunFiles
from annpipe.record.shipper.retry import call_once
from annpipe.record.shipper.sender import ITEMS_WAITING, Sender
from annpipe.record.shipper.thin import SeriesPoint
from annpipe.record.shipper.translation import Translation
from annpipe.record.store.client import Store
from annpipe.record.store.content import Content
from annpipe.record.store.faults import ItemRefused
from annpipe.record.store.items import Item, Param, RunTag, item_text


class Taking:
    """A store that notes what it gets, and refuses what is called `bad`."""

    uri = "http://store"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def log(self, run: str, items: Sequence[Item]) -> None:
        if any(item.key == "bad" for item in items):
            raise ItemRefused("no")
        self.calls.append([item_text(item) for item in items])

    def check(self, run: str) -> None:
        """The run is there."""

    def artifact(self, run: str, path: Path, to: str) -> None:
        self.calls.append([f"artifact {to}"])

    def end(self, run: str, status: str, time_ms: int) -> None:
        self.calls.append([status])


@pytest.fixture
def store() -> Taking:
    return Taking()


def sender(store: Taking, folder: Path, **more: Any) -> Sender:
    noted: list[Shipped] = []
    note = lambda folder, state: noted.append(state)  # noqa: E731  # what `write_state` does
    return Sender(folder, cast(Store, store), call_once, Shipped(run_id="1"), note, **more)


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


def test_files_are_of_the_run_or_refused(store: Taking, tmp_path: Path) -> None:
    """Those that were shipped before are only noted; the names of others are told in a file."""
    translation = Translation()
    sending = sender(store, tmp_path)
    files = RunFiles(tmp_path, sending, translation)
    assert not files.names()
    (tmp_path / "a.txt").write_text("a")
    files.artifact("a.txt", "tables", is_new=True)
    files.artifact("b.txt", "", is_new=False)
    files.artifact("../c.txt", "", is_new=True)
    files.artifact("a.txt", "../up", is_new=True)
    files.model("../../model", lambda: None, is_new=True)
    files.model("model", lambda: None, is_new=False)
    assert store.calls == [["artifact tables/a.txt"]]
    assert translation.items == {"artifact tables/a.txt", "artifact b.txt", "model"}
    assert [text.partition(":")[0] for text in sending.state.refused] == [
        "artifact ../c.txt",
        "artifact a.txt",
        "model",
    ]
    translation.names.key("price ($)")
    assert files.names()
    assert store.calls[-1] == ["artifact names.json"]
