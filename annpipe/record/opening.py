"""Who makes a project's database when several come at once? One of them: MLflow makes its tables without a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from annpipe.files.lock import locked
from annpipe.record.location import database_file, is_server, scrub
from annpipe.record.tables import lay_tables

DATABASES = ("postgresql", "mysql", "mssql")


@contextmanager
def first_open(uri: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Lets one process at a time make and migrate a local database; two at once would both fail.

    `tell` hears what is done to a database that was there. One elsewhere is MLflow's alone: before it opens one of an
    older version, which it may migrate, it is told of. Raises StoreError for one of a newer version.
    """
    database = database_file(uri)
    if database is None:
        if not is_server(uri) and urlsplit(uri).scheme.partition("+")[0] in DATABASES:
            tell_of_migration(uri, tell)
        yield
        return
    with locked(database):
        if database.exists():
            from annpipe.record.migration import migrate

            migrate(database, tell)
        lay_tables(database)
        yield


def tell_of_migration(uri: str, tell: Callable[[str], None]) -> None:
    """Says what will happen to a database of an older MLflow, which is not ours to copy."""
    import mlflow
    from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]  # MLflow tells no types
    try:
        found = _get_schema_version(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()
    if found is not None and found != _get_latest_schema_revision():  # type: ignore[no-untyped-call]
        tell(
            f"the store {scrub(uri)} is of another MLflow (revision {found}): MLflow {mlflow.__version__} migrates it "
            "where it can, and else refuses it; copy it with the database's own tools before you use it with both"
        )
