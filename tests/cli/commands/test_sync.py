"""`annpipe sync`: what is missing arrives, and nothing twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking.client import MlflowClient

from annpipe.cli.commands.sync import command
from annpipe.errors import NotFound, StoreError
from annpipe.record.journal import location
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.state import read_state
from annpipe.record.shipper import follow

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000


def begin(project: Path, uri: str) -> tuple[Path, Journal]:
    """A run that nobody shipped, still open."""
    folder = new_run_folder(project, "quadratic")
    journal = Journal.create(folder)
    root = location.artifact_root(uri, project)
    journal.write(
        RunBegun(
            id=folder.name, name="quadratic", experiment="quadratic", tracking_uri=uri, artifact_root=root, time=BEGAN
        )
    )
    journal.series("train/loss", 1, [1.0, 0.5, 0.25], BEGAN, BEGAN + 3)
    return folder, journal


def sync(*arguments: str) -> Result:
    """Calls the command."""
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def n_points(uri: str, run_id: Any) -> int:
    """How many points of train/loss the store holds."""
    return len(MlflowClient(tracking_uri=uri).get_metric_history(run_id, "train/loss"))


def test_a_run_is_shipped_once_and_to_another_store_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second sync does nothing; another store gets a run of its own; a live run is left to its shipper."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = location.embedded_uri(tmp_path)
    live, journal = begin(tmp_path, uri)
    folder, killed = begin(tmp_path, uri)
    killed.close()
    first = sync()
    assert f"{folder.name}: KILLED, shipped 1 KiB as MLflow run" in first.stdout
    assert f"{live.name}: still running" in first.stdout
    run_id = read_state(folder).run_id
    second = sync(folder.name)
    assert second.stdout == f"{folder.name}: complete already (MLflow run {run_id})\n"
    assert n_points(uri, run_id) == 3
    other = location.embedded_uri(tmp_path / "other")
    assert "shipped 1 KiB" in sync(folder.name, "--tracking-uri", other).stdout
    assert "complete already" in sync(folder.name, "--tracking-uri", other).stdout
    elsewhere = read_state(folder, other)
    assert elsewhere.run_id != run_id
    assert n_points(other, elsewhere.run_id) == 3
    assert read_state(folder).run_id == run_id
    journal.close()
    assert not list(tmp_path.rglob("mlruns"))


def test_a_store_that_is_away_is_exit_code_5(tmp_path: Path) -> None:
    """The reason is on stderr, without a password; the journal keeps everything."""
    folder, journal = begin(tmp_path, "http://127.0.0.1:9")
    journal.close()
    code = "import annpipe.cli.commands.sync as s\ns.SECONDS_ALONE = 0.2\nfrom annpipe.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, "sync", folder.name, "--tracking-uri", "http://ann:s3cret@127.0.0.1:9"],
        check=False, cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == StoreError.exit_code == 5
    assert done.stdout == ""
    assert "Connection refused" in done.stderr
    assert "error: 1 of 1 runs could not be shipped whole" in done.stderr
    assert "s3cret" not in done.stderr


def test_one_run_waits_for_a_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the others is told, and costs no time of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("annpipe.cli.commands.sync.SECONDS_ALONE", 0.2)
    tried = []

    real = follow.ship

    def counted(folder: Path, *arguments: Any) -> Any:
        tried.append(folder)
        return real(folder, *arguments)

    monkeypatch.setattr("annpipe.record.shipper.follow.ship", counted)
    folders = []
    for _ in range(3):
        folder, journal = begin(tmp_path, "http://127.0.0.1:9")
        journal.close()
        folders.append(folder.name)
    done = CliRunner().invoke(command, ["--tracking-uri", "http://127.0.0.1:9"])
    assert isinstance(done.exception, StoreError)
    assert all(f"{name}: not complete in http://127.0.0.1:9: " in done.stderr for name in folders)
    assert len(tried) == 1


def test_what_was_mended_is_not_called_complete_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody changed the status of a run in MLflow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, journal = begin(tmp_path, location.embedded_uri(tmp_path))
    journal.close()
    sync()
    MlflowClient(tracking_uri=location.embedded_uri(tmp_path)).set_terminated(
        str(read_state(folder).run_id), "FINISHED"
    )
    done = sync()
    assert "the store lacks the status KILLED" in done.stdout
    assert f"{folder.name}: KILLED, asked and complete as MLflow run" in done.stdout


def test_nothing_to_ship_and_an_unknown_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No runs is no error; a name that fits none is."""
    monkeypatch.chdir(tmp_path)
    assert "no runs" in sync().stderr
    with pytest.raises(NotFound):
        sync("quadratic")
