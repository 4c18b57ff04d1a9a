"""A sweep's storage on a real PostgreSQL server, which the test starts on loopback and stops again."""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from annpipe.errors import StoreError
from annpipe.sweep.storage import storage_of
from tests.conftest import unused_port
from tests.sweep.commands import AT_ONCE, begun, finished

PASSWORD = "pg-swordfish"


def _programs() -> Path | None:
    """The folder of a PostgreSQL that is installed; None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").is_file()), None)


def _user() -> str | None:
    """Who may run the server: it refuses root. None where there is nobody."""
    if os.geteuid() != 0:
        return getpass.getuser()
    return next((user.pw_name for user in pwd.getpwall() if user.pw_name == "postgres"), None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a new database, by user and password."""
    programs, user = _programs(), _user()
    if programs is None or user is None:
        pytest.skip("no PostgreSQL server is installed that this user can start (initdb, /usr/lib/postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: `pip install 'annpipe[postgres]'`")
    folder = Path(tempfile.mkdtemp(prefix="annpipe-pg-"))
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    how: dict[str, Any] = {"cwd": folder, "check": True, "capture_output": True, "timeout": 120}
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, user)
        how["user"] = user
    port = unused_port()
    data, options = folder / "data", f"-h 127.0.0.1 -p {port} -k {folder} -F"
    made = ["-U", "ann", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync"]
    try:
        subprocess.run([programs / "initdb", "-D", data, *made], **how)
        start = [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"]
        subprocess.run(start, **{**how, "capture_output": False, "stdout": subprocess.DEVNULL})
        try:
            yield f"postgresql://ann:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], **how)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def address(server: str) -> Iterator[str]:
    """An empty database of the server, by the address that the README writes."""
    engine = create_engine(server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE sweeps")
    yield server.removesuffix("postgres") + "sweeps"
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE sweeps WITH (FORCE)")
    engine.dispose()


def test_eight_open_a_new_database_at_once(address: str, tmp_path: Path) -> None:
    """Each makes the tables that are not there yet, takes a choice and ends it."""
    command = [sys.executable, "-c", textwrap.dedent(AT_ONCE), f"sqlite:///{tmp_path / 'first.db'}", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_two_sweeps_share_the_trials(address: str, project: Path) -> None:
    """The same command twice with the address of the README: each trial is made by one of them."""
    both = [begun(project, "--storage", address, "--set", "sweep.batch=1") for _ in range(2)]
    told = [finished(process) for process in both]
    made = [{trial["run"] for trial in found["trials"]} for found in told]
    assert made[0] == made[1]
    assert len(told[0]["trials"]) == len(list(project.glob("runs/small-2*"))) == 6


def test_a_wrong_password_is_not_told(address: str) -> None:
    """The server's own words, and neither the right password nor the wrong one."""
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        storage_of(address.replace(PASSWORD, "wrong-one"))
    assert PASSWORD not in str(caught.value)
    assert "wrong-one" not in str(caught.value)
