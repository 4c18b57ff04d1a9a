"""Who makes a project's database when several come at once? One of them: MLflow makes its tables without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from annpipe.files.lock import locked
from annpipe.record.location import database_file
from annpipe.record.tables import lay_tables


@contextmanager
def first_open(uri: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Lets one process at a time make and migrate a local database; two at once would both fail.

    `tell` hears what is done to a database that was there.
    """
    database = database_file(uri)
    if database is None:
        yield
        return
    with locked(database):
        lay_tables(database)
        yield
