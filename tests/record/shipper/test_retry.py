"""A call to a store that is away is tried again, while the trainer lives and for a bounded time after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

import pytest

from annpipe.record.shipper import retry
from annpipe.record.shipper.retry import FAILURES_OF_ITS_OWN, GaveUp, RetryingCaller, TrainerPipe, call_once
from annpipe.record.store.client import Store
from annpipe.record.store.faults import ItemRefused, RunGone


class Answering:
    """A store of which only is asked whether it is there."""

    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there

    def answers(self) -> bool:
        return self.is_there


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits: a pause moves the time on."""
    now = [0.0]
    monkeypatch.setattr(retry.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(retry.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def failing(times: int, error: Exception) -> Callable[[], str]:
    """An action that fails so often, and then succeeds."""
    left = [times]

    def action() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return "done"

    return action


def caller(*, is_there: bool, seconds: float = 1e9) -> tuple[RetryingCaller, list[str]]:
    heard: list[str] = []
    store = cast(Store, Answering(is_there=is_there))
    return RetryingCaller(store, TrainerPipe(None), seconds, heard.append), heard


def test_a_store_that_comes_back_is_written_to() -> None:
    """With each failure told, and longer pauses between."""
    calling, heard = caller(is_there=False)
    assert calling(failing(7, ConnectionError("away"))) == "done"
    assert heard == ["ConnectionError: away"] * 7
    assert call_once(failing(0, ConnectionError())) == "done"


def test_after_the_trainer_it_gives_up_in_time(clock: list[float]) -> None:
    """The time begins with the first failure."""
    clock[0] = 1000.0
    calling, _ = caller(is_there=False, seconds=10.0)
    with pytest.raises(GaveUp, match="away"):
        calling(failing(10**6, ConnectionError("away")))
    assert 1010.0 <= clock[0] <= 1010.0 + retry.LONGEST_PAUSE


@pytest.mark.parametrize(("reason", "is_faulty"), [("broken", True), ("database is locked", False)])
def test_an_item_that_fails_again_and_again_is_at_fault_itself(reason: str, is_faulty: bool) -> None:
    """Where the store answers otherwise; a locked one is only busy."""
    calling, heard = caller(is_there=True)
    if is_faulty:
        with pytest.raises(ItemRefused, match=reason):
            calling(failing(99, RuntimeError(reason)))
        assert len(heard) == FAILURES_OF_ITS_OWN - 1
    else:
        assert calling(failing(9, RuntimeError(reason))) == "done"


@pytest.mark.parametrize("error", [ItemRefused("no"), RunGone("gone")])
def test_what_is_certain_is_not_tried_again(error: Exception) -> None:
    """It is the caller's to decide."""
    calling, heard = caller(is_there=True)
    with pytest.raises(type(error)):
        calling(failing(1, error))
    assert heard == []


def test_the_pipe_tells_when_the_trainer_is_gone() -> None:
    """Not while there is something in it, and for good when it is closed."""
    reading, writing = os.pipe()
    pipe = TrainerPipe(reading)
    assert not pipe.has_left()
    os.write(writing, b"\n")
    assert not pipe.has_left()
    os.close(writing)
    assert pipe.has_left()
    os.close(reading)
    assert cast(Any, pipe).gone
