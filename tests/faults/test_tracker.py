"""A real MLflow server behind a faulty network: nothing lost, nothing doubled, the true status, and no trainer waits.

The short form runs with the suite; the long one, every fault in every phase, by

    python -m pytest -m soak -s tests/faults/test_tracker.py

Both print what struck how often, and what was lost.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import journal, location
from annpipe.record.journal.events import ArtifactKept, DatasetUsed, ModelSaved, RunBegun, RunEnded, to_data
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import new_run_folder, run_folders
from annpipe.record.journal.state import read_state
from annpipe.record.shipper import follow
from annpipe.record.shipper.retry import TrainerPipe
from annpipe.record.store.keys import mlflow_key, store_name
from annpipe.record.store.ui import serve
from tests.conftest import unused_port
from tests.faults.injector import Injector
from tests.faults.proxy import ACTIONS, NetworkFault, proxy

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000
N_STEPS = 30
SPEC = """
version: 1
name: faulty
device: {type: cpu, threads: 1}
data: {formula: {rows: 40, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
tags: {"team (a)": x}
model: [Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 30}
plots: [learning_curve]
tracking: {wait_seconds: WAIT}
"""
# What a shipper asks for, in the order of a run; the last is how it is asked whether it has all.
PHASES = {
    "experiment": r"experiments/(get-by-name|create)",
    "run": r"POST .*runs/create",
    "points": r"POST .*runs/log-batch",
    "data": r"POST .*runs/log-inputs",
    "artifact": r"PUT .*mlflow-artifacts/artifacts",
    "model": r"logged-models",
    "end": r"POST .*runs/update",
    "asking": r"(GET .*metrics/get-history|POST .*runs/search|GET .*artifacts)",
}
QUICK = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@dataclass(frozen=True)
class Server:
    """A server that nothing stands before."""

    port: int
    client: Any


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests."""
    home = tmp_path_factory.mktemp("server")
    port = unused_port()
    with serve(f"sqlite:///{home / 'server.db'}", home, port) as one:
        yield Server(port, MlflowClient(tracking_uri=one.address))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project; MLflow gives up on a call soon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name, value in (location.MLFLOW_ENVIRONMENT | QUICK).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def losses(server: Server, folder: Path) -> Iterator[str]:
    """What the server has less, more or otherwise than the run's journal."""
    events = list(journal.read(folder))
    run_id = str(read_state(folder).run_id or "")
    if not run_id:
        yield "the run itself"
        return
    run = server.client.get_run(run_id)
    same = server.client.search_runs([run.info.experiment_id], f"tags.`annpipe.run_id` = '{folder.name}'")
    if len(same) != 1:
        yield f"{len(same)} runs in MLflow"
    if run.info.status != journal.status(folder):
        yield f"the status is {run.info.status}"
    points: dict[str, list[tuple[int, float]]] = {}
    for event in events:
        for key, step, value, _ in journal.points(event):
            points.setdefault(mlflow_key(store_name(key)), []).append((step, value))
    for key, expected in points.items():
        found = sorted((point.step, point.value) for point in server.client.get_metric_history(run_id, key))
        if found != sorted(expected):
            yield f"{len(found)} of {len(expected)} points of {key}"
    lines = [to_data(event) for event in events]
    params = {mlflow_key(key): value for line in lines for key, value in (line.get("params") or {}).items()}
    tags = {mlflow_key(key) for line in lines for key in (line.get("tags") or {})}
    if run.data.params != params:
        yield "params"
    if not tags <= set(run.data.tags):
        yield f"tags {tags - set(run.data.tags)}"
    if len(run.inputs.dataset_inputs) != sum(bool(line.get("dataset")) for line in lines):
        yield "the data"
    files = {(event.to, Path(event.file).name) for event in events if isinstance(event, ArtifactKept)}
    for to, name in files:
        if name not in [Path(one.path).name for one in server.client.list_artifacts(run_id, to or None)]:
            yield f"artifact {name}"
    models = server.client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    ready = [model for model in models if str(model.status) == "READY"]
    if len(ready) != 1 or len(models) != 1:
        yield f"{len(ready)} models of {len(models)}"


def annpipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `annpipe …` here."""
    command = [sys.executable, "-m", "annpipe", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_a_run_through_all_faults_is_recorded_whole(server: Server, project: Path) -> None:
    """Each fault strikes while it trains, and again while `annpipe sync` mends; nobody waits for the record."""
    names = [name for name in ACTIONS if name != "hang"]
    injector = Injector(*names)
    during = [NetworkFault(name, on=r"api/|artifacts", skip=3 * number // 2) for number, name in enumerate(names)]
    (project / "faulty.yaml").write_text(SPEC.replace("WAIT", "0.1"))
    with proxy(server.port, injector, during) as one:
        done = annpipe("run", "faulty.yaml", "--tracking-uri", one.address)
        assert done.returncode == 0, done.stderr
        (folder,) = run_folders(project)
        deadline = time.monotonic() + 300
        while not (synced := annpipe("sync")).stdout.count("complete") and time.monotonic() < deadline:
            time.sleep(1)
        assert synced.returncode == 0, synced.stderr
    for loss in losses(server, folder):
        injector.lost("all", loss)
    print(f"\n{injector.report()}")
    injector.check()


@pytest.mark.slow
def test_a_server_that_hangs_holds_up_nobody(server: Server, project: Path) -> None:
    """The command ends while every request still hangs; when they are answered again, `annpipe sync` ships all."""
    injector = Injector("hang")
    (project / "faulty.yaml").write_text(SPEC.replace("WAIT", "0.1"))
    with proxy(server.port, injector, [NetworkFault("hang", times=10_000)]) as one:
        done = annpipe("run", "faulty.yaml", "--tracking-uri", one.address)
        assert done.returncode == 0, done.stderr
        assert "complete: " not in done.stdout
        (folder,) = run_folders(project)
        assert journal.status(folder) == "FINISHED"
        while not injector.hits["hang"]:
            time.sleep(0.1)
        one.faults.clear()
        deadline = time.monotonic() + 300
        while not (synced := annpipe("sync")).stdout.count("complete") and time.monotonic() < deadline:
            time.sleep(1)
        assert synced.returncode == 0, synced.stderr
    for loss in losses(server, folder):
        injector.lost("hang", loss)
    print(f"\n{injector.report()}")
    injector.check()


def begun(project: Path, uri: str) -> tuple[Path, Journal]:
    """A run with one of everything, its journal open."""
    folder = new_run_folder(project, "faulty")
    pen = Journal.create(folder)
    run: dict[str, Any] = {"id": folder.name, "name": "faulty", "experiment": "faults", "tracking_uri": uri}
    pen.write(RunBegun(**run, time=BEGAN, params={"lr": "0.1", "a (b)": "1"}, tags={"mlflow.user": "ann", "x@y": "z"}))
    (folder / "plan.yaml").write_text("seed: 0\n")
    pen.write(ArtifactKept(file="plan.yaml", to=""))
    pen.write(DatasetUsed(dataset={"name": "f", "digest": "ab", "source": "x", "context": "train"}))
    pen.series("train/loss", 1, [1 / (step + 1) for step in range(N_STEPS)], BEGAN, BEGAN + N_STEPS)
    pen.metrics(N_STEPS, {"val/price ($)/loss": 0.5}, BEGAN + N_STEPS)
    (folder / "model").mkdir()
    column = [{"name": "x", "type": "double", "shape": []}]
    text = {"inputs": column, "outputs": column, "inputs_example": None, "requirements": ["numpy"]}
    (folder / "model" / "model.json").write_text(json.dumps(text))
    pen.write(ModelSaved(folder="model"))
    return folder, pen


@pytest.mark.soak
@pytest.mark.parametrize("phase", PHASES)
def test_every_fault_in_every_phase(phase: str, server: Server, project: Path) -> None:
    """Struck once, and seven times in a row, which is more often than an item is tried."""
    cases = [(fault, phase, times) for fault in ACTIONS for times in (1, 7)]
    cases = [(fault, phase, times) for fault, phase, times in cases if times == 1 or fault not in ("hang", "slow")]
    injector = Injector(*(f"{fault} / {phase} x {times}" for fault, phase, times in cases))
    for fault, phase, times in cases:
        name = f"{fault} / {phase} x {times}"
        with proxy(server.port, injector, [NetworkFault(fault, PHASES[phase], times, name=name)]) as one:
            folder, pen = begun(project, one.address)
            pen.write(RunEnded(status="FINISHED", time=BEGAN + 60_000, error=None))
            pen.close()
            for _ in range(4):
                with follow.logging_to(folder):
                    state = follow.ship(folder, one.address, TrainerPipe(None), 20.0)
                if state.complete:
                    break
        if not state.complete:
            injector.lost(name, f"not complete: {state.problem}")
        for loss in losses(server, folder):
            injector.lost(name, loss)
    print(f"\n{injector.report()}")
    injector.check()
