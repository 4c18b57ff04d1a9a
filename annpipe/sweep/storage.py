"""Opens the database that the workers of a sweep share; several of them may try to create it at once."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from sqlalchemy import URL, Engine, NullPool, create_engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from annpipe.errors import StoreError
from annpipe.errors.redact import scrub
from annpipe.files.lock import locked
from annpipe.sweep.optuna_samplers import quiet
from annpipe.sweep.queue import TABLES

T = TypeVar("T")
BEAT_SECONDS, GRACE_SECONDS = 10, 30  # a worker that says nothing for so long is dead
BUSY_SECONDS = 60  # that a database may be in another's hands
TRIES_TO_OPEN, SECONDS_BETWEEN_TRIES = 4, 0.3
MADE_MEANWHILE = ("already exists", "duplicate", "unique constraint")  # what databases say to the second of two
LOCK_NUMBER, LOCK_NAME = 0x616E6E70697065, "annpipe"  # of those who make tables on one server


def storage_of(url: str | None, *, beat: int = BEAT_SECONDS, grace: int = GRACE_SECONDS) -> BaseStorage:
    """The storage at an SQLAlchemy URL, in memory without one; raises StoreError.

    A new one is made under a lock: a file beside an SQLite file, a lock of the server's on PostgreSQL and MySQL.
    """
    if url is None:
        return InMemoryStorage()
    try:
        address = _with_driver(make_url(url))
        is_sqlite = address.get_backend_name() == "sqlite"
        waits = {"connect_args": {"timeout": BUSY_SECONDS}} if is_sqlite else {}

        def opened() -> RDBStorage:
            whole = address.render_as_string(hide_password=False)
            return RDBStorage(whole, engine_kwargs=waits, heartbeat_interval=beat, grace_period=grace)

        with quiet(), _alone(address):
            storage = _in_spite_of_others(opened)
            if is_sqlite:
                _one_at_a_time(storage.engine)
            _in_spite_of_others(lambda: TABLES.create_all(storage.engine))
    except Exception as error:  # of SQLAlchemy, of a driver, or an import of one that is missing
        raise StoreError(f"the storage {scrub(url)} cannot be opened: {_reason(url, error)}") from error
    return storage


@contextmanager
def answering(url: str | None) -> Iterator[None]:
    """Inside, a storage that does not answer any more raises StoreError."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        url = url or ""
        message = f"the storage {scrub(url)} does not answer: {_reason(url, error)}"
        raise StoreError(f"{message}; runs that have ended are kept, and the same command goes on") from error


def _with_driver(url: URL) -> URL:
    """The URL with a driver that is installed, where it names none and there are several for its database."""
    if url.drivername in ("postgresql", "postgres"):
        drivers = ("psycopg", "psycopg2")
        return url.set(drivername=f"postgresql+{next(filter(importlib.util.find_spec, drivers), drivers[0])}")
    return url


def _reason(url: str, error: BaseException) -> str:
    """Why a storage cannot be opened, in a line; for a driver that is missing, how it is installed."""
    kind = url.partition(":")[0].partition("+")[0]
    if isinstance(error, ImportError):
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        name = getattr(missing, "name", None)
        driver = f"the driver '{name}'" if name else "a driver"
        if kind in ("postgresql", "postgres"):
            return f"{driver} is not installed; `pip install 'annpipe[postgres]'`, and write postgresql://…"
        return (
            f"{driver} is not installed; install it with pip, or name another in the address, as in {kind}+DRIVER://…"
        )
    if isinstance(error, NoSuchModuleError):
        return f"there is no such database or driver as {url.partition(':')[0]}; write sqlite:///FILE or postgresql://…"
    if isinstance(error, TimeoutError):
        return f"another process has been making it for {BUSY_SECONDS} seconds; end it, and try again"
    return (scrub(str(error)).splitlines() or [type(error).__name__])[0]


@contextmanager
def _alone(url: URL) -> Iterator[None]:
    """One process at a time makes the tables; where there is no lock for that, the others try again."""
    kind = url.get_backend_name()
    if kind == "sqlite":
        file = _file_of(url)
        with locked(file, timeout_seconds=BUSY_SECONDS) if file else nullcontext():
            yield
    elif kind in ("postgresql", "mysql", "mariadb"):
        postgres = select(func.pg_advisory_lock(LOCK_NUMBER))
        lock = postgres if kind == "postgresql" else select(func.get_lock(LOCK_NAME, BUSY_SECONDS))
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # the lock ends with it
            connection.execute(lock)
            yield
    else:
        yield


def _file_of(url: URL) -> Path | None:
    """The file of an SQLite database; None for one in memory, in a folder that is not there, or named by a URI."""
    if not url.database or url.database.startswith((":memory:", "file:")):
        return None
    file = Path(url.database)
    return file if file.parent.is_dir() else None


def _in_spite_of_others(make: Callable[[], T]) -> T:
    """Makes tables; where another made one of them meanwhile, once more."""
    for _ in range(TRIES_TO_OPEN - 1):
        try:
            return make()
        except DBAPIError as error:
            if not any(words in str(error).lower() for words in MADE_MEANWHILE):
                raise
            time.sleep(SECONDS_BETWEEN_TRIES)
    return make()


def _one_at_a_time(engine: Engine) -> None:
    """Transactions of an SQLite file lock it when they begin, others wait.

    A choice is taken by reading a row for update, which locks nothing in SQLite: two would take it.
    """

    def begun_by_hand(connection: Any, _: object) -> None:
        connection.isolation_level = None  # Python's driver begins a transaction at the first change only

    engine.dispose()
    event.listen(engine, "connect", begun_by_hand)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
