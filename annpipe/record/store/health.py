"""Finds out whether a store can be used: its version, its tables, whether somebody holds it, and whether it answers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow

from annpipe.record.store.client import Store
from annpipe.record.store.faults import first_line
from annpipe.record.store.migration import revision

LOCK_SECONDS = 2.0


def mlflow_version() -> str:
    """The installed MLflow."""
    return str(mlflow.__version__)


def newest_revision() -> str:
    """The revision of tables that the installed MLflow makes."""
    from mlflow.store.db.utils import _get_latest_schema_revision  # as MLflow asks itself when it opens a store

    return str(_get_latest_schema_revision())  # type: ignore[no-untyped-call]  # MLflow tells no types


def is_current(database: Path) -> bool:
    """Whether the tables in a SQLite file are those of the installed MLflow, or none are there yet."""
    return revision(database) in (None, newest_revision())


def database_fault(database: Path) -> str | None:
    """What is wrong with the pages of a SQLite file; None where SQLite finds nothing."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if rows == [("ok",)] else str(rows[0][0])


def is_locked(database: Path) -> bool:
    """Whether another process keeps a SQLite file from being written for longer than two seconds."""
    try:
        with closing(sqlite3.connect(database, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    return False


def answer_fault(uri: str) -> str | None:
    """Why a store on a server does not answer; None where it does."""
    try:
        Store(uri).client.search_experiments(max_results=1)
    except Exception as error:  # whatever it is, the store gave no answer
        return first_line(error)
    return None
