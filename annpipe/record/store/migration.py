"""Brings a SQLite store of an older MLflow to the installed one, after copying it beside."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow

from annpipe.errors import StoreError
from annpipe.record.journal.location import scrub

log = logging.getLogger("annpipe.record")


def migrate(
    database: Path, notify: Callable[[str], None], before: Callable[[str], None] = lambda message: None
) -> None:
    """Migrates `database` where its tables are those of an older MLflow; `notify` hears of it, and where the copy is.

    `before` hears what begins.

    Call it under the lock of the file. Raises StoreError for the store of a newer MLflow, and where the migration
    fails: the store then is what it was.
    """
    current = revision(database)
    if current is None:
        return
    from mlflow.store.db.utils import _get_latest_schema_revision  # as MLflow asks itself when it opens a store

    newest = _get_latest_schema_revision()  # type: ignore[no-untyped-call]  # MLflow tells no types
    if current == newest:
        return
    if not _is_known(current):
        raise StoreError(
            f"the store {database} was made by a newer MLflow than the installed {mlflow.__version__} "
            f"(its tables are of revision {current}): install that MLflow, or name another store"
        )
    before(f"migrating the database {database} to MLflow {mlflow.__version__} …")
    copy = _copied(database)
    try:
        _upgrade(database)
    except Exception as error:
        _copy(copy, database)
        raise StoreError(
            f"the store {database} of an older MLflow could not be migrated to {mlflow.__version__}, and is as it was: "
            f"{scrub(str(error)).partition(chr(10))[0]}"
        ) from error
    notify(
        f"the store {database} was of an older MLflow (revision {current}) and is now of MLflow {mlflow.__version__}; "
        f"as it was it is kept in {copy}"
    )


def revision(database: Path) -> str | None:
    """The revision of MLflow's tables in a SQLite file; None where there are no such tables."""
    if not database.is_file() or database.stat().st_size == 0:
        return None
    with closing(sqlite3.connect(database)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError:  # no such table, or no database: MLflow will say so
            return None
    return None if row is None else str(row[0])


def _is_known(found_revision: str) -> bool:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from mlflow.store.db.utils import _get_alembic_config

    scripts = ScriptDirectory.from_config(_get_alembic_config(""))  # type: ignore[no-untyped-call]
    try:
        return scripts.get_revision(found_revision) is not None
    except CommandError:
        return False


def _copied(database: Path) -> Path:
    """Copies the store beside itself, under a name that nothing has yet."""
    base = f"{database.name}.before-mlflow-{mlflow.__version__}"
    names = (base if number == 1 else f"{base}-{number}" for number in range(1, 1000))
    copy = next(path for name in names if not (path := database.with_name(name)).exists())
    _copy(database, copy)
    return copy


def _copy(source: Path, target: Path) -> None:
    """By SQLite itself, so that what is still in the write-ahead log goes along."""
    with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)


def _upgrade(database: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{database}")  # type: ignore[no-untyped-call]
    try:
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()
