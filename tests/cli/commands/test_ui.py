"""`annpipe ui`: an address that answers, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from annpipe.cli.commands.ui import command
from annpipe.errors import StoreError
from annpipe.record.journal import location
from annpipe.record.journal.events import ArtifactKept, RunBegun, RunEnded
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import new_run_folder
from annpipe.record.store.new_database import first_open
from annpipe.record.store.ui import latest_page

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")


def recorded_run(project: Path) -> tuple[str, str]:
    """Experiment and run id of a run with a figure, shipped to the project's store."""
    from annpipe.record.shipper import follow
    from annpipe.record.shipper.retry import TrainerPipe

    folder = new_run_folder(project, "quadratic")
    uri = location.embedded_uri(project)
    with_root = {"tracking_uri": uri, "artifact_root": location.artifact_root(uri, project)}
    journal = Journal.create(folder)
    journal.write(RunBegun(id=folder.name, name="quadratic", experiment="curves", time=1_700_000_000_000, **with_root))
    (folder / "plot.svg").write_text("<svg/>")
    journal.write(ArtifactKept(file="plot.svg", to="plots"))
    journal.write(RunEnded(status="FINISHED", time=1_700_000_001_000, error=None))
    journal.close()
    with follow.logging_to(folder):
        state = follow.ship(folder, uri, TrainerPipe(None), 5.0)
    assert state.complete
    assert state.experiment_id
    assert state.run_id
    return state.experiment_id, state.run_id


@contextmanager
def serving(project: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which does not outlive a test that fails."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with subprocess.Popen(
        [sys.executable, "-c", "from annpipe.cli import main; main()", "ui"],
        cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def get(address: str) -> Any:
    """The answer to a request."""
    with urllib.request.urlopen(address, timeout=300) as answer:
        return answer.read()


def servers_on(database: Path) -> list[str]:
    """The processes that have a store in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"MLFLOW_BACKEND_STORE_URI=sqlite:///{database}".encode() in environment:
            found.append(folder.name)
    return found


@pytest.mark.slow
def test_the_printed_address_answers_until_ctrl_c(tmp_path: Path) -> None:
    """It says that there is no run yet, shows the one that comes, and leaves no process behind."""
    with serving(tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        base = process.stdout.readline().strip().rstrip("/")
        assert base.startswith("http://127.0.0.1:")
        assert "#" not in base
        said = [process.stderr.readline() for _ in range(4)]
        assert [line.split()[0] for line in said] == ["loading", "making", "starting", "no"]
        assert str(tmp_path / "mlflow.db") in said[1]
        assert "no runs yet" in said[3]
        experiment, run = recorded_run(tmp_path)
        uri = location.embedded_uri(tmp_path)
        assert latest_page(tmp_path, uri) == f"#/experiments/{experiment}/runs?workflowType=machine_learning"
        found = json.loads(get(f"{base}/api/2.0/mlflow/runs/get?run_id={run}"))
        assert found["run"]["info"]["status"] == "FINISHED"
        assert get(f"{base}/get-artifact?path=plots/plot.svg&run_uuid={run}") == b"<svg/>"
        assert b"<title>" in get(base)
        # Runs that came from elsewhere have no folder here: the server itself knows the latest experiment.
        shutil.rmtree(tmp_path / "runs")
        page = f"#/experiments/{experiment}/runs?workflowType=machine_learning"
        assert latest_page(tmp_path, uri, base) == f"{page}&viewStateShareKey=annpipe&compareRunsMode=CHART"
        assert servers_on(tmp_path / "mlflow.db")
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0
    deadline = time.monotonic() + 300
    while servers_on(tmp_path / "mlflow.db"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_the_server_waits_for_whoever_makes_the_database(tmp_path: Path) -> None:
    """A first run's shipper is at it when the UI is asked for: both would make tables, and the server would end."""
    with ExitStack() as stack:
        with first_open(location.embedded_uri(tmp_path), lambda notice: None):
            process = stack.enter_context(serving(tmp_path))
            assert process.stderr is not None
            assert process.stderr.readline().startswith("loading MLflow")
            assert process.stderr.readline().startswith("waiting for another process that makes")
            assert not servers_on(tmp_path / "mlflow.db")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before MLflow is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        with pytest.raises(StoreError, match="leave --port out"):
            CliRunner().invoke(command, ["--port", str(taken.getsockname()[1])], catch_exceptions=False)


def test_a_server_elsewhere_has_a_ui_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started: its address is printed, without a password."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["--tracking-uri", "https://ann:x@tracker.example.org"])
    assert result.stdout == "https://***@tracker.example.org/\n"
