"""Who makes a project's database when several come at once? One of them: MLflow makes its tables without a lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from annpipe.record.location import database_file
from annpipe.record.tables import lay_tables


@contextmanager
def first_open(uri: str) -> Iterator[None]:
    """Lets one process at a time make and migrate a local database; two at once would both fail."""
    database = database_file(uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(f"{database}-lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        lay_tables(database)
        yield
    finally:
        os.close(descriptor)
