"""Makes one transaction of many calls to MLflow: its sessions join one, where the store is a SQLite file.

MLflow's own code writes all but the points (see `sql_points`). A call of its client commits several times, and each
commit waits for the disk: of sixty-four runs that is most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow.tracking.client import MlflowClient
from sqlalchemy.orm import sessionmaker

MILLISECONDS_FOR_THE_LOCK = 20_000  # as MLflow waits itself


class Unfit(Exception):
    """Calls to this store cannot be held together."""


@contextmanager
def one_transaction(client: MlflowClient) -> Iterator[Any]:
    """Everything that the client writes within is kept at the end, or after an exception none of it.

    Gives the connection, for what is written beside the client. Raises Unfit where the store is no SQLite file, or
    MLflow keeps its sessions elsewhere than it did.
    """
    store = _database_of(client)
    separately = store.ManagedSessionMaker
    with store.engine.connect() as connection:
        # SQLite takes these only outside of a transaction, and Python's driver begins none before the first change.
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("PRAGMA cache_spill = OFF")  # pages written out early would lock readers out
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {MILLISECONDS_FOR_THE_LOCK}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        store.ManagedSessionMaker = _joining(connection)
        try:
            yield connection
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        finally:
            store.ManagedSessionMaker = separately


def _database_of(client: MlflowClient) -> Any:
    """MLflow's store behind the client."""
    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    dialect = getattr(getattr(store, "engine", None), "dialect", None)
    if dialect is None or dialect.name != "sqlite" or not hasattr(store, "ManagedSessionMaker"):
        raise Unfit
    return store


def _joining(connection: Any) -> Any:
    """Sessions of which commit and rollback end at a savepoint of the connection's transaction."""
    sessions = sessionmaker(bind=connection, join_transaction_mode="create_savepoint")

    @contextmanager
    def session(read_only: bool = True) -> Iterator[Any]:  # as MLflow calls it
        with sessions() as session_of_call:
            try:
                yield session_of_call
                session_of_call.commit()
            except BaseException:
                session_of_call.rollback()
                raise

    return session
