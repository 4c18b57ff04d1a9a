"""The queue of a sweep's choices: the one in memory and the one in a database behave alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy

from annpipe.sweep.queue import TABLES, DatabaseQueue, MemoryQueue, Queue, Taken


@pytest.fixture(params=["memory", "database"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    """A queue of three choices."""
    if request.param == "memory":
        return MemoryQueue(3)
    return in_database(tmp_path)("here:1:a")


def in_database(folder: Path) -> Callable[[str], DatabaseQueue]:
    """Makes queues on one database for workers of different names."""
    engine = sqlalchemy.create_engine(f"sqlite:///{folder / 'queue.db'}")
    TABLES.create_all(engine)
    return lambda worker: DatabaseQueue(engine, "study", 3, worker, 60.0)


def test_each_choice_is_taken_once_and_ends_once(queue: Queue) -> None:
    """In order; the results come to whoever asks, once."""
    assert [taken.index for taken in queue.take(2)] == [0, 1]
    assert queue.end(0, "[1]")
    assert not queue.end(0, "[2]")
    assert [taken.index for taken in queue.take(5)] == [2]
    assert queue.take(1) == []
    assert not queue.is_over
    assert queue.end(1, "[]")
    assert queue.end(2, "[]")
    assert queue.is_over


def test_a_choice_that_is_given_back_is_taken_again_with_its_trial(queue: Queue) -> None:
    """And the values that the sampler chose for it."""
    (taken,) = queue.take(1)
    queue.note([Taken(taken.index, 5, {"lr": 0.1})])
    queue.free(taken.index)
    assert queue.take(1) == [Taken(0, 5, {"lr": 0.1})]


def test_what_a_dead_worker_had_taken_is_free(tmp_path: Path) -> None:
    """As soon as another says so, by the beginning of its name."""
    make = in_database(tmp_path)
    dead, living = make("here:1:a"), make("here:2:b")
    dead.take(3)
    assert living.take(1) == []
    living.release("here:1:")
    assert [taken.index for taken in living.take(3)] == [0, 1, 2]
    assert not dead.end(0, "[]")
