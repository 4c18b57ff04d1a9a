"""The database that workers share: made by one of several who open it at once, and named well where it cannot be."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from optuna.storages._rdb import models
from sqlalchemy import create_engine, inspect

from annpipe.errors import StoreError
from annpipe.sweep.storage import storage_of
from tests.sweep.commands import AT_ONCE


@pytest.mark.slow
@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_eight_that_open_a_new_storage_at_once_all_get_in(times: int, tmp_path: Path) -> None:
    """Each opens it, takes a choice of one study and ends it; and all tables are there once."""
    files = [tmp_path / f"{number}.db" for number in range(times)]
    urls = [f"sqlite:///{file}" for file in (tmp_path / "first.db", *files)]
    command = [sys.executable, "-c", textwrap.dedent(AT_ONCE), *urls]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    for file in files:
        engine = create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM version_info").scalar() == 1
            assert connection.exec_driver_sql("SELECT taken, done FROM annpipe_sweeps").all() == [(8, 8)]
        assert {"trials", "annpipe_choices"} <= set(inspect(engine).get_table_names())
        engine.dispose()


def test_a_new_storage_whose_tables_another_makes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no lock, each makes the tables, and all but one are told that they exist: they open it again."""
    metadata = models.BaseModel.metadata
    create = metadata.create_all

    def too_late(engine: Any) -> None:
        monkeypatch.setattr(metadata, "create_all", create)
        create(engine)
        create(engine, checkfirst=False)

    monkeypatch.setattr(metadata, "create_all", too_late)
    assert storage_of(f"sqlite:///{tmp_path / 'new.db'}").get_all_studies() == []
    assert metadata.create_all == create


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nosuch://me:secret@host/db", "there is no such database or driver as nosuch"),
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
        (
            "postgresql+pg8000://me:secret@host/db",
            r"driver 'pg8000' is not installed; `pip install 'annpipe\[postgres",
        ),
        ("mysql+pymysql://me:secret@host/db", "the driver 'pymysql' is not installed; install it with pip"),
        ("not a url", "Could not parse"),
    ],
)
def test_a_storage_that_cannot_be_opened(url: str, words: str) -> None:
    """The error is one of the store's, exit code 5; it names what is missing, and holds no password."""
    with pytest.raises(StoreError, match=words) as caught:
        storage_of(url)
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 5


def test_postgresql_without_a_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is that of the README, and neither psycopg nor psycopg2 is there."""
    for name in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"the driver 'psycopg' is not installed; `pip install 'annpipe\[postgres\]'`"):
        storage_of("postgresql://me:secret@localhost/sweeps")
