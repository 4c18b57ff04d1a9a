"""How does a new local database come to MLflow's tables? As a copy of empty ones, which MLflow made once.

MLflow makes them by all the migrations in its history, which takes seconds; the copy is kept with annpipe's caches.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

import mlflow
import sqlalchemy

from annpipe.files.lock import locked
from annpipe.files.private import private_folder
from annpipe.registry.index import cache_folder

log = logging.getLogger("annpipe.record")


def lay_tables(database: Path) -> None:
    """Makes the file `database` with MLflow's empty tables, if it is not there.

    Where that cannot be, it is left to MLflow, which makes the tables of what it opens.
    """
    if database.exists():
        return
    try:
        kept = _kept()
        with tempfile.TemporaryDirectory(prefix=".annpipe-", dir=database.parent) as scratch:
            copy = Path(shutil.copyfile(kept, Path(scratch, database.name)))
            os.link(copy, database)  # unlike a move, it spares what somebody else has made meanwhile
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
            os.replace(new, kept)
    return kept


def _make(database: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables  # what its stores call when they find no tables

    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    try:
        _initialize_tables(engine)  # type: ignore[no-untyped-call]  # MLflow tells no types
    finally:
        engine.dispose()
