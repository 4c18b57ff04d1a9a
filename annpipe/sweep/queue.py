"""The queue of a sweep's choices (free, taken or done), in memory or as two tables of a database.

A choice has a row once it has been taken for the first time, so that no call reads what only waits: each costs the same
whatever the number of choices. A worker says now and then that it is alive; what a dead one had taken is free again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.exc import IntegrityError

FREE, TAKEN, DONE = "free", "taken", "done"

TABLES = MetaData()
_LONG = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
_SWEEPS = Table(
    "annpipe_sweeps",
    TABLES,
    Column("study", String(255), primary_key=True),
    Column("taken", Integer, nullable=False),  # choices that have a row: those from here on were never taken
    Column("done", Integer, nullable=False),
)
_CHOICES = Table(
    "annpipe_choices",
    TABLES,
    Column("study", String(255), primary_key=True),
    Column("place", Integer, key="index", primary_key=True, autoincrement=False),
    Column("state", String(8), nullable=False),
    Column("worker", String(255), nullable=False),
    Column("beat", Float, nullable=False),  # when the worker was last alive, in seconds by the database's clock
    Column("trial", Integer),
    Column("params", _LONG),
    Column("results", _LONG),
    Column("ended", Integer),  # counted from 1 in the order in which choices ended
    Index("ix_annpipe_choices_state", "study", "state"),
    Index("ix_annpipe_choices_ended", "study", "ended"),
)


@dataclass(frozen=True)
class Taken:
    """A choice, by its index, that a worker has taken; `trial` and `params` are those of a worker before it."""

    index: int
    trial: int | None = None
    params: Mapping[str, Any] | None = None


class Queue(Protocol):
    """Choices by their indices 0, 1, …; each is taken by one worker at a time, and ends once."""

    @property
    def is_over(self) -> bool:
        """Whether all have ended."""

    def take(self, most: int) -> list[Taken]:
        """The next free ones; empty where others have all that is left."""

    def note(self, taken: Sequence[Taken]) -> None:
        """Keeps the trials and params of choices that this worker has taken."""

    def end(self, index: int, results: str) -> bool:
        """Keeps the results of a choice; False where it is no longer this worker's."""

    def free(self, index: int) -> None:
        """Gives back a choice that was not tried to its end."""

    def ended(self) -> list[str]:
        """The results of the choices that have ended since the last call, whoever tried them."""

    def beat(self) -> None:
        """Says that this worker is alive."""

    def release(self, workers: str) -> None:
        """Frees what workers have taken whose names begin so: they are dead."""


class MemoryQueue:
    """The choices of a single worker."""

    def __init__(self, choices: int) -> None:
        self._free = [Taken(index) for index in reversed(range(choices))]
        self._taken: dict[int, Taken] = {}
        self._ended: list[str] = []

    @property
    def is_over(self) -> bool:
        return not self._free and not self._taken

    def take(self, most: int) -> list[Taken]:
        taken = [self._free.pop() for _ in range(min(most, len(self._free)))]
        self._taken |= {item.index: item for item in taken}
        return taken

    def note(self, taken: Sequence[Taken]) -> None:
        self._taken |= {item.index: item for item in taken}

    def end(self, index: int, results: str) -> bool:
        self._ended.append(results)
        return self._taken.pop(index, None) is not None

    def free(self, index: int) -> None:
        self._free.append(self._taken.pop(index))

    def ended(self) -> list[str]:
        ended, self._ended = self._ended, []
        return ended

    def beat(self) -> None:
        """Does nothing: there are no other workers."""

    def release(self, workers: str) -> None:
        """Does nothing: there are no other workers."""


class DatabaseQueue:
    """The choices of a study that workers share; raises what SQLAlchemy raises."""

    def __init__(self, engine: Engine, study: str, choices: int, worker: str, grace_seconds: float) -> None:
        self._engine, self._study, self._choices = engine, study, choices
        self._worker, self._grace = worker, grace_seconds
        self._last_ended = 0
        with suppress(IntegrityError), engine.begin() as connection:  # it is there already
            connection.execute(insert(_SWEEPS).values(study=study, taken=0, done=0))

    @property
    def is_over(self) -> bool:
        with self._engine.begin() as connection:
            left = select(_CHOICES.c.index).where(self._in_study, _CHOICES.c.state.in_((FREE, TAKEN))).limit(1)
            return self._counted(connection)[0] >= self._choices and connection.execute(left).first() is None

    def take(self, most: int) -> list[Taken]:
        with self._locked() as (connection, taken, _):
            now = _now(connection)
            is_free = or_(
                _CHOICES.c.state == FREE, and_(_CHOICES.c.state == TAKEN, _CHOICES.c.beat < now - self._grace)
            )
            columns = (_CHOICES.c.index, _CHOICES.c.trial, _CHOICES.c.params)
            again = select(*columns).where(self._in_study, _CHOICES.c.state.in_((FREE, TAKEN)), is_free)
            retaken = [
                Taken(index, trial, json.loads(params) if params else None)
                for index, trial, params in connection.execute(again.order_by(_CHOICES.c.index).limit(most))
            ]
            mine = {"state": TAKEN, "worker": self._worker, "beat": now}
            if retaken:
                indices = [item.index for item in retaken]
                connection.execute(update(_CHOICES).where(self._in_study, _CHOICES.c.index.in_(indices)).values(**mine))
            new = range(taken, min(self._choices, taken + most - len(retaken)))
            if new:
                rows = [{"study": self._study, "index": index, **mine} for index in new]
                connection.execute(insert(_CHOICES), rows)
                connection.execute(update(_SWEEPS).where(_SWEEPS.c.study == self._study).values(taken=new.stop))
            return retaken + [Taken(index) for index in new]

    def note(self, taken: Sequence[Taken]) -> None:
        with self._engine.begin() as connection:
            for item in taken:
                kept = {"trial": item.trial, "params": json.dumps(item.params)}
                connection.execute(update(_CHOICES).where(self._mine(item.index)).values(**kept))

    def end(self, index: int, results: str) -> bool:
        with self._locked() as (connection, _, done):
            kept = {"state": DONE, "results": results, "ended": done + 1}
            if not connection.execute(update(_CHOICES).where(self._mine(index)).values(**kept)).rowcount:
                return False
            connection.execute(update(_SWEEPS).where(_SWEEPS.c.study == self._study).values(done=done + 1))
            return True

    def free(self, index: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(_CHOICES).where(self._mine(index)).values(state=FREE))

    def ended(self) -> list[str]:
        new = select(_CHOICES.c.ended, _CHOICES.c.results).where(self._in_study, _CHOICES.c.ended > self._last_ended)
        with self._engine.begin() as connection:
            rows = connection.execute(new.order_by(_CHOICES.c.ended)).all()
        self._last_ended = rows[-1].ended if rows else self._last_ended
        return [row.results for row in rows]

    def beat(self) -> None:
        of_mine = and_(self._in_study, _CHOICES.c.state == TAKEN, _CHOICES.c.worker == self._worker)
        with self._engine.begin() as connection:
            connection.execute(update(_CHOICES).where(of_mine).values(beat=_now(connection)))

    def release(self, workers: str) -> None:
        of_dead = and_(
            self._in_study, _CHOICES.c.state == TAKEN, _CHOICES.c.worker.startswith(workers, autoescape=True)
        )
        with self._engine.begin() as connection:
            connection.execute(update(_CHOICES).where(of_dead).values(state=FREE))

    @property
    def _in_study(self) -> Any:
        return _CHOICES.c.study == self._study

    def _mine(self, index: int) -> Any:
        """A choice, as long as this worker has it."""
        return and_(
            self._in_study, _CHOICES.c.index == index, _CHOICES.c.state == TAKEN, _CHOICES.c.worker == self._worker
        )

    def _counted(self, connection: Connection) -> tuple[int, int]:
        row = connection.execute(select(_SWEEPS.c.taken, _SWEEPS.c.done).where(_SWEEPS.c.study == self._study)).one()
        return row.taken, row.done

    @contextmanager
    def _locked(self) -> Iterator[tuple[Connection, int, int]]:
        """A transaction during which no other worker changes the study; how many choices are taken, and done."""
        with self._engine.begin() as connection:
            row = select(_SWEEPS.c.taken, _SWEEPS.c.done).where(_SWEEPS.c.study == self._study).with_for_update()
            taken, done = connection.execute(row).one()
            yield connection, taken, done


def _now(connection: Connection) -> float:
    """Seconds by the clock of the database, which is the same for all workers."""
    now: datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return (now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp()
