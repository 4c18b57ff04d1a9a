"""The queue of a sweep's choices: which are free, taken and done; in memory, or as two tables of a database.

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
    Column("place", Integer, primary_key=True, autoincrement=False),
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
    """A choice that a worker has taken; `trial` and `params` are those of one that had taken it before."""

    place: int
    trial: int | None = None
    params: Mapping[str, Any] | None = None


class Queue(Protocol):
    """Choices by their places 0, 1, …; each is taken by one worker at a time, and ends once."""

    @property
    def is_over(self) -> bool:
        """Whether all have ended."""

    def take(self, most: int) -> list[Taken]:
        """The next free ones; empty where others have all that is left."""

    def note(self, taken: Sequence[Taken]) -> None:
        """Keeps the trials and params of choices that this worker has taken."""

    def end(self, place: int, results: str) -> bool:
        """Keeps the results of a choice; False where it is no longer this worker's."""

    def free(self, place: int) -> None:
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
        self._free = [Taken(place) for place in reversed(range(choices))]
        self._taken: dict[int, Taken] = {}
        self._ended: list[str] = []

    @property
    def is_over(self) -> bool:
        return not self._free and not self._taken

    def take(self, most: int) -> list[Taken]:
        found = [self._free.pop() for _ in range(min(most, len(self._free)))]
        self._taken |= {one.place: one for one in found}
        return found

    def note(self, taken: Sequence[Taken]) -> None:
        self._taken |= {one.place: one for one in taken}

    def end(self, place: int, results: str) -> bool:
        self._ended.append(results)
        return self._taken.pop(place, None) is not None

    def free(self, place: int) -> None:
        self._free.append(self._taken.pop(place))

    def ended(self) -> list[str]:
        found, self._ended = self._ended, []
        return found

    def beat(self) -> None:
        """Nobody asks."""

    def release(self, workers: str) -> None:
        """There are no others."""


class DatabaseQueue:
    """The choices of a study that workers share; raises what SQLAlchemy raises."""

    def __init__(self, engine: Engine, study: str, choices: int, worker: str, grace_seconds: float) -> None:
        self._engine, self._study, self._choices = engine, study, choices
        self._worker, self._grace = worker, grace_seconds
        self._heard = 0
        with suppress(IntegrityError), engine.begin() as connection:  # it is there already
            connection.execute(insert(_SWEEPS).values(study=study, taken=0, done=0))

    @property
    def is_over(self) -> bool:
        with self._engine.begin() as connection:
            left = select(_CHOICES.c.place).where(self._own, _CHOICES.c.state.in_((FREE, TAKEN))).limit(1)
            return self._counted(connection)[0] >= self._choices and connection.execute(left).first() is None

    def take(self, most: int) -> list[Taken]:
        with self._alone() as (connection, taken, _):
            now = _now(connection)
            is_free = or_(
                _CHOICES.c.state == FREE, and_(_CHOICES.c.state == TAKEN, _CHOICES.c.beat < now - self._grace)
            )
            columns = (_CHOICES.c.place, _CHOICES.c.trial, _CHOICES.c.params)
            again = select(*columns).where(self._own, _CHOICES.c.state.in_((FREE, TAKEN)), is_free)
            found = [
                Taken(place, trial, json.loads(params) if params else None)
                for place, trial, params in connection.execute(again.order_by(_CHOICES.c.place).limit(most))
            ]
            mine = {"state": TAKEN, "worker": self._worker, "beat": now}
            if found:
                places = [one.place for one in found]
                connection.execute(update(_CHOICES).where(self._own, _CHOICES.c.place.in_(places)).values(**mine))
            new = range(taken, min(self._choices, taken + most - len(found)))
            if new:
                rows = [{"study": self._study, "place": place, **mine} for place in new]
                connection.execute(insert(_CHOICES), rows)
                connection.execute(update(_SWEEPS).where(_SWEEPS.c.study == self._study).values(taken=new.stop))
            return found + [Taken(place) for place in new]

    def note(self, taken: Sequence[Taken]) -> None:
        with self._engine.begin() as connection:
            for one in taken:
                kept = {"trial": one.trial, "params": json.dumps(one.params)}
                connection.execute(update(_CHOICES).where(self._mine(one.place)).values(**kept))

    def end(self, place: int, results: str) -> bool:
        with self._alone() as (connection, _, done):
            kept = {"state": DONE, "results": results, "ended": done + 1}
            if not connection.execute(update(_CHOICES).where(self._mine(place)).values(**kept)).rowcount:
                return False
            connection.execute(update(_SWEEPS).where(_SWEEPS.c.study == self._study).values(done=done + 1))
            return True

    def free(self, place: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(_CHOICES).where(self._mine(place)).values(state=FREE))

    def ended(self) -> list[str]:
        new = select(_CHOICES.c.ended, _CHOICES.c.results).where(self._own, _CHOICES.c.ended > self._heard)
        with self._engine.begin() as connection:
            rows = connection.execute(new.order_by(_CHOICES.c.ended)).all()
        self._heard = rows[-1].ended if rows else self._heard
        return [row.results for row in rows]

    def beat(self) -> None:
        of_mine = and_(self._own, _CHOICES.c.state == TAKEN, _CHOICES.c.worker == self._worker)
        with self._engine.begin() as connection:
            connection.execute(update(_CHOICES).where(of_mine).values(beat=_now(connection)))

    def release(self, workers: str) -> None:
        of_dead = and_(self._own, _CHOICES.c.state == TAKEN, _CHOICES.c.worker.startswith(workers, autoescape=True))
        with self._engine.begin() as connection:
            connection.execute(update(_CHOICES).where(of_dead).values(state=FREE))

    @property
    def _own(self) -> Any:
        return _CHOICES.c.study == self._study

    def _mine(self, place: int) -> Any:
        """A choice, as long as this worker has it."""
        return and_(self._own, _CHOICES.c.place == place, _CHOICES.c.state == TAKEN, _CHOICES.c.worker == self._worker)

    def _counted(self, connection: Connection) -> tuple[int, int]:
        row = connection.execute(select(_SWEEPS.c.taken, _SWEEPS.c.done).where(_SWEEPS.c.study == self._study)).one()
        return row.taken, row.done

    @contextmanager
    def _alone(self) -> Iterator[tuple[Connection, int, int]]:
        """A transaction that no other worker at the study changes anything beside; how many are taken, and done."""
        with self._engine.begin() as connection:
            row = select(_SWEEPS.c.taken, _SWEEPS.c.done).where(_SWEEPS.c.study == self._study).with_for_update()
            taken, done = connection.execute(row).one()
            yield connection, taken, done


def _now(connection: Connection) -> float:
    """Seconds by the clock of the database, which is the same for all workers."""
    found: datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
