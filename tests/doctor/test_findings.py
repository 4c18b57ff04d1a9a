"""`annpipe doctor` tells what is not in order, and what to do about it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from annpipe.doctor import machine, store, training
from annpipe.doctor.finding import Finding, findings
from annpipe.doctor.project import cache_findings, run_findings
from annpipe.record.store import health
from tests.conftest import CliHere, unused_port


def test_a_healthy_machine_is_in_order(annpipe_here: CliHere) -> None:
    code, out, _ = annpipe_here("doctor", "--no-training")
    assert code == 0
    assert out.rstrip().endswith("all is in order")
    code, out, _ = annpipe_here("doctor", "--no-training", "--json")
    subjects = [finding["subject"] for finding in json.loads(out)]
    assert code == 0
    assert set(subjects) >= {"python", "annpipe", "packages", "plugins", "runs", "caches", "torch", "mlflow", "store"}


@pytest.mark.slow
def test_a_short_training_is_part_of_it(annpipe_here: CliHere) -> None:
    code, out, _ = annpipe_here("doctor")
    assert code == 0
    assert "a run of 3 seconds was trained and recorded" in out


def test_a_training_that_fails_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SPEC", "version: 1\n")
    (finding,) = training.training_findings()
    assert finding.verdict == "fault"
    assert "exit code 3" in finding.text


def test_packages_that_do_not_fit_are_named() -> None:
    (finding,) = machine._packages(["torch>=1000", "no-such-package>=1", "click>=8"])
    assert finding.verdict == "fault"
    assert "does not fit >=1000" in finding.text
    assert "no-such-package is missing" in finding.text
    assert "click" not in finding.text


def database(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (health.newest_revision(),))
    connection.close()
    return path


def verdicts(project: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in store.store_findings(project, None)}


def test_a_store_in_order(tmp_path: Path) -> None:
    database(tmp_path / "mlflow.db")
    assert verdicts(tmp_path)["store"].verdict == "ok"


def test_a_damaged_store_is_a_fault(tmp_path: Path) -> None:
    file = database(tmp_path / "mlflow.db")
    file.write_bytes(file.read_bytes()[:100] + b"\x00" * 500 + file.read_bytes()[600:])
    finding = verdicts(tmp_path)["store"]
    assert finding.verdict == "fault"
    assert "annpipe sync" in finding.remedy


def test_a_store_of_another_mlflow_is_told(tmp_path: Path) -> None:
    file = database(tmp_path / "mlflow.db")
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
    connection.close()
    assert verdicts(tmp_path)["store"].verdict == "warning"


def test_a_locked_store_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOCK_SECONDS", 0.1)
    connection = sqlite3.connect(database(tmp_path / "mlflow.db"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    assert "locked" in verdicts(tmp_path)["store"].text
    connection.close()


def test_a_server_that_does_not_answer_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    finding = verdicts(tmp_path)["store"]
    assert finding.verdict == "fault"
    assert "does not answer" in finding.text


def test_folders_that_are_no_runs_are_told(tmp_path: Path) -> None:
    (tmp_path / "runs" / "odd").mkdir(parents=True)
    assert [finding.verdict for finding in run_findings(tmp_path)] == ["ok", "warning"]


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.os, "access", lambda *_: False)
    assert [finding.verdict for finding in cache_findings()] == ["warning"]


def test_a_check_that_fails_holds_up_no_other() -> None:
    def check() -> list[Finding]:
        raise OSError("gone")

    (finding,) = findings("torch", lambda: iter(check()))
    assert (finding.subject, finding.verdict) == ("torch", "fault")
    assert "gone" in finding.text
