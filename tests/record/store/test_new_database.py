"""A new local database is a copy of empty tables that MLflow made once; what is there is left as it is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from annpipe.record.store import new_database
from annpipe.record.store.new_database import announce_migration, copy_tables, first_open

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")


@pytest.fixture
def made(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The databases that MLflow was asked to make, of which each takes seconds; here copies serve. Caches are empty."""
    calls: list[Path] = []

    def copied(database: Path) -> None:
        calls.append(database)
        shutil.copy(empty_store, database)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(new_database, "_make", copied)
    return calls


def tables(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]


def test_tables_are_made_once_and_copied_then(made: list[Path], tmp_path: Path, empty_store: Path) -> None:
    """Kept by the version of MLflow; no file beside the database stays."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        copy_tables(tmp_path / name / "mlflow.db")
        assert tables(tmp_path / name / "mlflow.db") == tables(empty_store)
        assert [path.name for path in (tmp_path / name).iterdir()] == ["mlflow.db"]
    assert len(made) == 1
    kept = tmp_path / "cache" / "annpipe" / "tables"
    assert f"mlflow-{mlflow.__version__}.db" in [path.name for path in kept.iterdir()]


def test_a_database_that_is_there_is_left_alone(made: list[Path], tmp_path: Path) -> None:
    """Whatever it holds."""
    (tmp_path / "mlflow.db").write_text("somebody's own")
    copy_tables(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_text() == "somebody's own"
    assert made == []


def test_a_database_that_somebody_makes_meanwhile_is_spared(
    made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy does not take its place."""
    database = tmp_path / "mlflow.db"
    real = new_database._kept

    def late() -> Path:
        kept = real()
        database.write_text("somebody's own")
        return kept

    monkeypatch.setattr(new_database, "_kept", late)
    copy_tables(database)
    assert database.read_text() == "somebody's own"


def test_without_room_for_caches_it_is_left_to_mlflow(
    made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error, and no half of a database."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    copy_tables(tmp_path / "mlflow.db")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["file"]


def test_the_first_to_open_a_local_database_makes_it(made: list[Path], tmp_path: Path) -> None:
    """Before MLflow opens it; nobody needs to know."""
    notices: list[str] = []
    with first_open(f"sqlite:///{tmp_path / 'mlflow.db'}", notices.append):
        assert (tmp_path / "mlflow.db").is_file()
    assert notices == []


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "https://host/mlflow", "databricks"])
def test_a_server_is_its_own_affair(uri: str, made: list[Path]) -> None:
    """Nothing is made or asked."""
    with first_open(uri, pytest.fail):
        pass
    assert made == []


def test_a_migration_of_a_database_elsewhere_is_announced(tmp_path: Path, empty_store: Path) -> None:
    """With its revision, and without the password; one of this version is not."""
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_store, path)
    notices: list[str] = []
    announce_migration(f"sqlite:///{path}", notices.append)
    assert notices == []
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'an0lder0ne'")
    announce_migration(f"sqlite:///{path}", notices.append)
    (notice,) = notices
    assert "an0lder0ne" in notice
    assert mlflow.__version__ in notice
