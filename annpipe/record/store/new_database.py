"""Makes a new local database: a copy of empty tables, which MLflow made once.

MLflow makes them by all the migrations in its history, which takes seconds; the copy is kept with annpipe's caches.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import sqlalchemy

from annpipe.files.descriptors import move, place_new
from annpipe.files.lock import locked
from annpipe.files.private import cache_folder, private_folder
from annpipe.record.journal.location import database_file, is_server, scrub

log = logging.getLogger("annpipe.record")


def copy_tables(database: Path) -> None:
    """Makes the file `database` with MLflow's empty tables, if it is not there.

    Where that cannot be, it is left to MLflow, which makes the tables of what it opens.
    """
    if database.exists():
        return
    try:
        kept = _kept()
        with tempfile.TemporaryDirectory(prefix=".annpipe-", dir=database.parent) as scratch:
            copy = Path(shutil.copyfile(kept, Path(scratch, database.name)))
            place_new(copy, database)
    except Exception as error:  # no room for caches, another MLflow than this one was written for
        log.info("MLflow makes its tables itself: %s", error)


def _kept() -> Path:
    """The database with the empty tables of this MLflow, made where it is missing."""
    kept = cache_folder() / "tables" / f"mlflow-{mlflow.__version__}.db"
    if kept.is_file():
        return kept
    private_folder(kept.parent)
    with locked(kept):  # the others need not make what one of them makes
        if kept.is_file():
            return kept
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            new = Path(scratch, kept.name)
            _make(new)
            move(new, kept)
    return kept


def _make(database: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables  # what its stores call when they find no tables

    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    try:
        _initialize_tables(engine)  # type: ignore[no-untyped-call]  # MLflow tells no types
    finally:
        engine.dispose()


DATABASES = ("postgresql", "mysql", "mssql")


@contextmanager
def first_open(uri: str, notify: Callable[[str], None], *, waits: bool = False) -> Iterator[None]:
    """Lets one process at a time make and migrate a local database; two at once would both fail.

    `notify` hears what is done to a database that was there; with `waits` somebody waits for it and hears before that
    what is done. One elsewhere is MLflow's alone: before it opens one of an
    older version, which it may migrate, it is told of. Raises StoreError for one of a newer version.
    """
    database = database_file(uri)
    if database is None:
        if not is_server(uri) and urlsplit(uri).scheme.partition("+")[0] in DATABASES:
            announce_migration(uri, notify)
        yield
        return
    say = notify if waits else lambda message: None
    with locked(database, on_wait=lambda: say(f"waiting for another process that makes {database} …")):
        if database.exists():
            from annpipe.record.store.migration import migrate

            migrate(database, notify, say)
        else:
            say(f"making the database {database} …")
        copy_tables(database)
        yield


def announce_migration(uri: str, notify: Callable[[str], None]) -> None:
    """Says what will happen to a database of an older MLflow, which is not ours to copy."""
    import mlflow
    from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]  # MLflow tells no types
    try:
        current = _get_schema_version(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()
    if current is not None and current != _get_latest_schema_revision():  # type: ignore[no-untyped-call]
        notify(
            f"the store {scrub(uri)} is of another MLflow (revision {current}): MLflow {mlflow.__version__} migrates "
            "it where it can, and else refuses it; copy it with the database's own tools before you use it with both"
        )
