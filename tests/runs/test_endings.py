"""How a run ends, as a user sees it: exit code, message, status in MLflow; a tracker that is away or hangs."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal import journal
from annpipe.record.journal.events import RunEnded
from annpipe.record.journal.state import is_recorded, read_state, sole_shipper
from annpipe.record.store.ui import serve
from annpipe.train.loop.checkpoint import load_checkpoint
from tests.conftest import unused_port

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

SPEC = """
version: 1
name: ends
plugins: [./breaking.py]
device: {type: cpu, threads: 1}
data: {formula: {rows: 50, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [FIRST, Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: RATE}}
train: {epochs: 30}
tracking: {wait_seconds: WAIT}
"""
BREAKING = '''
import time
import torch
from annpipe import layer

@layer
class Breaking(torch.nn.Module):
    """Raises when it is trained."""
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "meta":
            raise RuntimeError("the power is out")
        return x

@layer
class Endless(torch.nn.Module):
    """Never comes back."""
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "meta":
            print("endless", flush=True)
            time.sleep(600)
        return x
'''


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Path:
    """A project folder with a store."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


def written(project: Path, wait_seconds: float, *, first_layer: str = "Identity", lr: float = 0.1) -> str:
    """The spec as a file of the project."""
    text = SPEC.replace("WAIT", str(wait_seconds)).replace("FIRST", first_layer).replace("RATE", f"{lr:.1e}")
    (project / "breaking.py").write_text(BREAKING, encoding="utf-8")
    (project / "spec.yaml").write_text(text, encoding="utf-8")
    return "spec.yaml"


def latest(project: Path) -> Path:
    """The folder of the latest run."""
    return max((project / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)


def client(uri: str) -> Any:
    """MLflow's own client on a store."""
    from mlflow.tracking.client import MlflowClient

    return MlflowClient(tracking_uri=uri)


def embedded(project: Path) -> Any:
    """MLflow's own client on the project's store."""
    return client(f"sqlite:///{project / 'mlflow.db'}")


@pytest.mark.slow
def test_a_plugin_that_raises_is_a_failed_run_with_its_traceback_in_mlflow(project: Path, annpipe: Any) -> None:
    """Exit code 1, one line on stderr, where the traceback is; FAILED in MLflow with error.txt among the artifacts."""
    done = annpipe("run", written(project, 120, first_layer="Breaking"), cwd=project)
    folder = latest(project)
    assert done.returncode == 1
    assert "error: the run failed: RuntimeError: the power is out" in done.stderr
    assert f"the traceback is in {folder.relative_to(project)}/artifacts/error.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("FAILED  ends")
    run_id = read_state(folder).run_id
    assert embedded(project).get_run(run_id).info.status == "FAILED"
    text = Path(embedded(project).download_artifacts(run_id, "error.txt")).read_text()
    assert "RuntimeError: the power is out" in text
    assert "breaking.py" in text


@pytest.mark.slow
def test_a_loss_that_runs_away_is_a_failed_run_that_names_its_step(project: Path, annpipe: Any) -> None:
    """Exit code 1; the point that is not finite is recorded, the checkpoint is finite."""
    done = annpipe("run", written(project, 120, lr=1e30), cwd=project)
    folder = latest(project)
    assert done.returncode == 1
    points = [point for event in journal.read(folder) for point in journal.points(event) if point[0] == "train/loss"]
    assert [math.isfinite(value) for _, _, value, _ in points] == [True] * (len(points) - 1) + [False]
    step, value = points[-1][1:3]
    kept = "the last finite checkpoint is kept in checkpoints/last"
    assert f"the loss became {value} at step {step}; {kept}" in done.stderr
    model = load_checkpoint(folder, "last")["gear"]["model"]
    assert all(bool(tensor.isfinite().all()) for tensor in model.values())
    run_id = read_state(folder).run_id
    assert embedded(project).get_run(run_id).info.status == "FAILED"
    recorded = sorted((p.step, p.value) for p in embedded(project).get_metric_history(run_id, "train/loss"))
    assert recorded[-1][0] == step
    assert len(recorded) == len(points)


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_the_step(project: Path) -> None:
    """A step that never ends is left at once: KILLED, 130."""
    spec = written(project, 0, first_layer="Endless")
    with subprocess.Popen(
        [sys.executable, "-m", "annpipe", "run", spec], cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "endless\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert output.startswith("KILLED")
    assert journal.status(latest(project)) == "KILLED"


@pytest.fixture
def closed_port() -> int:
    """A loopback port on which nobody listens."""
    return unused_port()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.slow
def test_a_tracker_that_is_away_costs_nothing_and_gets_everything_later(
    tmp_path: Path, annpipe: Any, closed_port: int, empty_store: Path
) -> None:
    """The training ends well and says that it is not recorded; `annpipe sync` ships all of it to the server."""
    done = annpipe("run", written(tmp_path, 1), cwd=tmp_path, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{closed_port}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FINISHED")
    assert "record  complete" not in done.stdout
    folder = latest(tmp_path)
    assert journal.status(folder) == "FINISHED"
    assert not is_recorded(folder)
    end_shippers(folder)
    shutil.copy(empty_store, tmp_path / "server.db")
    with serve(f"sqlite:///{tmp_path / 'server.db'}", tmp_path / "server", closed_port) as server:
        synced = annpipe("sync", cwd=tmp_path)
        assert synced.returncode == 0, synced.stderr
        state = read_state(folder)
        assert (state.complete, state.refused, state.store) == (True, (), server.address), synced.stdout
        remote = client(server.address)
        assert remote.get_run(state.run_id).info.status == "FINISHED"
        history = sorted((p.step, p.value) for p in remote.get_metric_history(state.run_id, "train/loss"))
        points = [point for event in journal.read(folder) for point in journal.points(event)]
        assert history == [(step, value) for key, step, value, _ in points if key == "train/loss"]
        assert len(history) == 30
        names = {item.path for item in remote.list_artifacts(state.run_id)}
        assert {"spec.yaml", "plan.yaml", "environment.txt"} <= names
        again = annpipe("sync", cwd=tmp_path)
        assert "complete already" in again.stdout


@pytest.mark.slow
def test_a_tracker_that_hangs_holds_the_command_no_longer_than_it_may(
    tmp_path: Path, annpipe: Any, silent_server: str
) -> None:
    """Training ends when it ends; then the command waits for wait_seconds and no more."""
    spec = written(tmp_path, 2)
    done = annpipe("run", spec, "--tracking-uri", silent_server, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "still shipping in the background after 2 s" in done.stdout
    folder = latest(tmp_path)
    (end,) = (event for event in journal.read(folder) if isinstance(event, RunEnded))
    assert end.status == "FINISHED"
    assert time.time() - end.time / 1000 < 2 + 60  # the end of a busy process included
    end_shippers(folder)


def end_shippers(folder: Path) -> None:
    """Ends the shipper that a test left behind with a store that never comes, and waits until nobody ships the run.

    A shipper may just be replacing itself, when it has no command line, and a killed one holds its lock until the
    machine has had time to end it.
    """
    deadline = time.monotonic() + 300
    while shippers := shippers_in(folder.parents[1]):
        for process in shippers:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert time.monotonic() < deadline, f"{shippers} do not end"
        time.sleep(0.05)
    with sole_shipper(folder) as is_sole:
        assert is_sole


def shippers_in(project: Path) -> list[int]:
    """The shippers of a project's runs; a process of its folder that has no command line counts, until it is dead."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_there = os.readlink(process / "cwd") == str(project)
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if is_there and (not command or b"annpipe.record.shipper" in command):
            found.append(int(process.name))
    return found
