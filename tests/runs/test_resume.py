"""A run that was interrupted and resumed is the run that never was: driven by the command line and by signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from annpipe.files.whole import seal
from annpipe.record.journal import journal
from annpipe.record.journal.events import ArtifactKept, RunEnded
from annpipe.record.store.keys import store_name
from tests.conftest import wait_until_recorded

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

# Seconds of training, so that several interruptions find it at work. A run stops where a pause or a look falls: looks
# are far apart, and the first pauses, after 1, 3, 7, … steps, fall within an epoch of 16.
STEPS_AN_EPOCH, EPOCHS = 16, 600
SPEC = f"""
version: 1
name: resumed
seed: 9
device: {{type: cpu, threads: 1}}
data:
  formula:
    rows: 1000
    inputs: {{x: {{Uniform: [-1, 1]}}}}
    targets: {{y: sin(5*x)}}
    noise: {{y: {{Normal: [0, 0.1]}}}}
  split: {{val: 0.2}}
model: [Linear: 24, BatchNorm1d, Tanh, Dropout: 0.1, Linear: 24, Tanh, Linear: 1]
loss: MSELoss
optimizer: {{AdamW: {{lr: 2.0e-3}}}}
scheduler: {{StepLR: {{step_size: 20, gamma: 0.9}}}}
train: {{epochs: {EPOCHS}, batch_size: 51, evaluate_every: 100, checkpoint_seconds: 0.2}}
metrics: [R2Score]
callbacks: [early_stopping: {{monitor: val/loss, patience: 1000}}]
tracking: {{wait_seconds: 120}}
"""


@contextmanager
def command(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`annpipe …` as a process, ended with the block."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "ANNPIPE"))}
    with subprocess.Popen(
        [sys.executable, "-m", "annpipe", *arguments],
        cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Any, process: subprocess.Popen[str], seconds: float = 300) -> None:
    """Waits until the condition holds while the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_folder(project: Path) -> Path | None:
    """The project's only run, when it is there."""
    found = list((project / "runs").glob("*/journal.jsonl"))
    assert len(found) <= 1
    return found[0].parent if found else None


def series(folder: Path) -> dict[str, dict[int, float]]:
    """Every point of a run's journal; a point written twice is a fault."""
    found: dict[str, dict[int, float]] = {}
    for event in journal.read(folder):
        for key, step, value, _ in journal.points(event):
            assert step not in found.setdefault(key, {}), (key, step)
            found[key][step] = value
    return found


def epochs_done(project: Path) -> int:
    """The epochs that the journal has."""
    folder = run_folder(project)
    return max(series(folder).get("train/loss", {0: 0.0})) if folder else 0


def checkpoint_step(folder: Path) -> int:
    """The step at which the last checkpoint was made."""
    try:
        text = (folder / "checkpoints" / "last" / "state.json").read_text()
    except FileNotFoundError:  # it is being replaced
        return 0
    return int(json.loads(text)["gear"]["step"])


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Path:
    """A folder with the spec and a store, where no run was yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    return folder


def mlflow_runs(project: Path) -> list[Any]:
    """Every run of the project's store."""
    from mlflow.tracking.client import MlflowClient

    client: Any = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    return list(client.search_runs([e.experiment_id for e in client.search_experiments() if e.experiment_id != "0"]))


def wait_for_status(project: Path, status: str, seconds: float = 300) -> None:
    """The one run of the store gets this status, though on a busy machine its shipper may outlive the command."""
    deadline = time.monotonic() + seconds
    while [run.info.status for run in mlflow_runs(project)] != [status]:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def mlflow_history(project: Path, run_id: str, key: str) -> list[tuple[int, float]]:
    """The points of a metric in the store."""
    from mlflow.tracking.client import MlflowClient

    client: Any = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, key))


def hold_as_if_never_interrupted(project: Path, folder: Path, whole: Path) -> None:
    """The same weights, series, final values and figures' data as the run in `whole`; one MLflow run with all of it."""
    assert (folder / "model/weights.safetensors").read_bytes() == (whole / "model/weights.safetensors").read_bytes()
    mine, theirs = series(folder), series(whole)
    assert mine == theirs
    wait_until_recorded(folder)  # the shipper of the interrupted part may still be at it
    (run,) = mlflow_runs(project)
    assert run.info.status == "FINISHED"
    for key in ("train/loss", "val/loss", "val/r2_score", "lr", "final/val/loss", "best/val/loss"):
        assert mlflow_history(project, run.info.run_id, store_name(key)) == sorted(theirs[key].items()), key
    last = max(theirs["train/loss"])
    assert [step for step, _ in mlflow_history(project, run.info.run_id, "train/loss")] == list(range(1, last + 1))


@pytest.mark.slow
def test_ctrl_c_and_sigterm_and_resume_give_the_run_that_was_never_stopped(project: Path, go: Any) -> None:
    """Stopped at whatever step it was, twice and once within an epoch; codes 130 and 143."""
    steps: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with command(project, *(("resume", "--last") if steps else ("run", "spec.yaml"))) as process:
            before = epochs_done(project)
            wait_for(lambda before=before: epochs_done(project) > before + 5, process)
            process.send_signal(number)
            output, errors = process.communicate(timeout=300)
        folder = run_folder(project)
        assert folder is not None
        assert process.returncode == 128 + number
        steps.append(checkpoint_step(folder))
        assert f"stopped after step {steps[-1]}; `annpipe resume {folder.name}` goes on" in errors
        assert output.startswith("KILLED")
        assert journal.status(folder) == "KILLED"
        wait_for_status(project, "KILLED")
    assert steps == sorted(set(steps))
    assert any(step % STEPS_AN_EPOCH for step in steps)
    with command(project, "resume", "--last") as process:
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, output[:8]) == (0, "FINISHED"), errors
    whole = go(SPEC)
    assert whole.outcome.status == "FINISHED"
    hold_as_if_never_interrupted(project, folder, whole.folder)
    with command(project, "resume", "--last") as process:
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (0, "")
    assert errors == f"{folder.name} is finished: nothing is left to do\n"


@pytest.mark.slow
def test_a_run_killed_outright_goes_on_from_its_safety_checkpoint(project: Path, go: Any) -> None:
    """kill -9 after the journal went on beyond the checkpoint: the steps between are taken again and told once."""
    with command(project, "run", "spec.yaml") as process:
        wait_for(lambda: epochs_done(project) > 1, process)
        folder = run_folder(project)
        assert folder is not None
        wait_for(lambda: 0 < checkpoint_step(folder) < STEPS_AN_EPOCH * epochs_done(project), process)
        process.kill()
        process.communicate()
    assert journal.status(folder) == "KILLED"
    with command(project, "resume", folder.name) as process:
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, output[:8]) == (0, "FINISHED"), errors
    hold_as_if_never_interrupted(project, folder, go(SPEC).folder)


LAYER = '''
import torch
from annpipe import layer

@layer
class Gain(torch.nn.Module):
    """x times something."""
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * x
'''
PLUGIN_SPEC = """
version: 1
name: plugged
plugins: [./gain.py]
device: {type: cpu, threads: 1}
data: {formula: {rows: 50, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 4, Gain, Tanh, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 3}
"""
FAILING = LAYER.replace("return 2.0 * x", "assert not self.training, 'the power is out'\n        return 2.0 * x")


def test_a_plugin_that_changed_is_refused_and_the_record_stays(go: Any) -> None:
    """Going on would give another run; what was recorded is not touched, and with the file put back it goes on."""
    first = go(PLUGIN_SPEC, gain=FAILING)
    assert first.outcome.status == "FAILED"
    before = (first.folder / "journal.jsonl").read_bytes()
    changed = go(PLUGIN_SPEC, resume=first.folder, gain=LAYER)
    assert changed.outcome.status == "FAILED"
    assert "the plugin gain.py is not the one this run began with" in str(changed.outcome.error)
    assert (first.folder / "journal.jsonl").read_bytes() == before
    again = go(PLUGIN_SPEC, resume=first.folder, gain=FAILING)
    assert str(again.outcome.error) == "the power is out"


def test_data_that_changed_is_refused(go: Any, tmp_path: Path) -> None:
    """The digest is over every row."""
    first = go(PLUGIN_SPEC, gain=FAILING)
    state = first.folder / "checkpoints/last/state.json"
    facts = json.loads(state.read_text())
    other = go(PLUGIN_SPEC.replace("x**2", "x**3"), gain=FAILING, resume=first.folder)
    assert "the plan is not the one this run began with" in str(other.outcome.error)
    assert "start a new run; data.formula.targets.y: x**2 → x**3, digest of the data: " in str(other.outcome.error)
    fewer = go(PLUGIN_SPEC.replace("rows: 50", "rows: 40"), gain=FAILING, resume=first.folder)
    assert "data: 50 → 40 rows" in str(fewer.outcome.error)
    facts["facts"]["dataset"] = "0" * 16
    del facts["crc"]
    state.write_bytes(seal(json.dumps(facts)))
    other = go(PLUGIN_SPEC, gain=FAILING, resume=first.folder)
    assert "the dataset is not the one this run began with" in str(other.outcome.error)


def test_a_plan_that_was_changed_by_hand_is_refused_with_old_and_new_values(go: Any, tmp_path: Path) -> None:
    """Each path that is another: an option, a component with its options, one that had its default."""
    first = go(PLUGIN_SPEC, gain=FAILING)
    changed = PLUGIN_SPEC.replace("SGD: {lr: 0.1}", "Adam: {lr: 0.2}").replace("epochs: 3", "epochs: 4, clip_norm: 1.0")
    error = str(go(changed, gain=FAILING, resume=first.folder).outcome.error)
    for words in (
        "optimizer: SGD → Adam",
        "optimizer.SGD.lr: 0.1 → not said",
        "optimizer.Adam.lr: not said → 0.2",
        "train.epochs: 3 → 4",
        "train.clip_norm: not said → 1.0",
    ):
        assert words in error
    assert "data" not in error.partition("start a new run")[2]


def test_a_layer_that_raises_fails_the_run_and_leaves_its_traceback(go: Any) -> None:
    """FAILED in the journal, with the error and its traceback as an artifact; figures and model are not made."""
    done = go(PLUGIN_SPEC, gain=FAILING)
    assert done.outcome.status == journal.status(done.folder) == "FAILED"
    events = list(journal.read(done.folder))
    assert isinstance(events[-1], RunEnded)
    assert events[-1].error == "the power is out"
    assert ArtifactKept(file="artifacts/error.txt", to="") in events
    text = (done.folder / "artifacts/error.txt").read_text()
    assert "AssertionError: the power is out" in text
    assert "gain.py" in text
    assert not (done.folder / "model").exists()
