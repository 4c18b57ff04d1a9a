"""The store of an older MLflow is copied before it is migrated, and people are told."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.tracking.client import MlflowClient

from annpipe.errors import StoreError
from annpipe.record.journal import location
from annpipe.record.shipper import follow
from annpipe.record.shipper.retry import TrainerPipe
from annpipe.record.store.client import Store
from annpipe.record.store.migration import migrate, revision

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's migrations

BEGAN = 1_700_000_000_000
HISTORY = [one.revision for one in ScriptDirectory.from_config(utils._get_alembic_config("")).walk_revisions()]


@pytest.fixture(scope="module")
def old_stores(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """By their age in revisions, stores as older MLflows made them, each with a run and a point."""
    stores = {}
    for age in (20, 1):
        path = tmp_path_factory.mktemp("old") / location.DATABASE
        engine = sqlalchemy.create_engine(f"sqlite:///{path}")
        InitialBase.metadata.create_all(engine)
        config = utils._get_alembic_config(str(engine.url))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, HISTORY[age])
        engine.dispose()
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
                "VALUES (7, 'old', '/nowhere', 'active')"
            )
            database.execute(
                "INSERT INTO runs (run_uuid, name, status, lifecycle_stage, experiment_id, start_time, user_id) "
                "VALUES ('ab', 'old', 'FINISHED', 'active', 7, 1, 'ann')"
            )
            database.execute("INSERT INTO metrics VALUES ('loss', 0.5, 1, 'ab', 0, 0)")
        stores[age] = path
    return stores


@pytest.mark.slow
@pytest.mark.parametrize("age", [20, 1])
def test_it_is_copied_and_told(age: int, old_stores: dict[int, Path], project: Path, begin: Any) -> None:
    """A run is recorded in it; what was there is in the store and in its copy, which has the old tables."""
    database = project / location.DATABASE
    shutil.copy(old_stores[age], database)
    folder = begin().end()
    with follow.logging_to(folder):
        state = follow.ship(folder, follow.store_of(folder), TrainerPipe(None), 1.0)
    assert state.complete, state.problem
    (copy,) = project.glob("mlflow.db.before-mlflow-*")
    assert [notice for notice in state.notices if f"kept in {copy}" in notice]
    assert (revision(copy), revision(database)) == (HISTORY[age], HISTORY[0])
    for path in (copy, database):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT key, value FROM metrics WHERE run_uuid = 'ab'").fetchall() == [
                ("loss", 0.5)
            ]
    run = MlflowClient(tracking_uri=location.embedded_uri(project)).get_run("ab")
    assert run.info.status == "FINISHED"
    told: list[str] = []
    migrate(database, told.append)
    assert told == []
    assert len(list(project.glob("mlflow.db.before-*"))) == 1


def test_what_is_in_the_write_ahead_log_goes_along(old_stores: dict[int, Path], tmp_path: Path) -> None:
    """A copy of the file alone would lack it; a second copy takes another name."""
    database = Path(shutil.copy(old_stores[1], tmp_path / location.DATABASE))
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    with writer:
        writer.execute("INSERT INTO metrics VALUES ('late', 0.25, 1, 'ab', 0, 0)")
    assert Path(f"{database}-wal").stat().st_size > 0
    told: list[str] = []
    taken = tmp_path / f"mlflow.db.before-mlflow-{mlflow.__version__}"
    taken.write_text("somebody's")
    migrate(database, told.append)  # the log is not written back before its writer is closed
    copy = Path(f"{taken}-2")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM metrics WHERE key = 'late'").fetchall() == [(0.25,)]
    assert taken.read_text() == "somebody's"
    assert str(copy) in told[0]
    writer.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    old_stores: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alembic may break off half way."""
    database = Path(shutil.copy(old_stores[20], tmp_path / location.DATABASE))

    def half(engine: Any) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE metrics")
        raise RuntimeError("the power is out")

    monkeypatch.setattr(utils, "_initialize_tables", half)
    begun: list[str] = []
    with pytest.raises(StoreError, match="is as it was: the power is out"):
        migrate(database, print, begun.append)
    assert [message.startswith(f"migrating the database {database}") for message in begun] == [True]
    assert revision(database) == HISTORY[20]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM metrics").fetchone() == (1,)


def test_the_store_of_a_newer_mlflow_is_refused_with_the_reason(project: Path) -> None:
    """MLflow itself would call it out of date."""
    with closing(sqlite3.connect(project / location.DATABASE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
    store = Store(location.embedded_uri(project))
    with pytest.raises(StoreError, match="made by a newer MLflow"):
        store.client.search_experiments()
    assert not list(project.glob("*.before-*"))
