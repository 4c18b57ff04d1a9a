"""`annpipe sweep SPEC --over PATH=VALUES`, as a user types it: trials equal solo runs, made once, in one record."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking.client import MlflowClient
from safetensors.torch import load_file

import annpipe
from annpipe.cli import outcome
from annpipe.record.journal import journal
from annpipe.record.journal.events import TagsSet
from annpipe.record.journal.location import embedded_uri
from annpipe.record.journal.state import is_recorded, read_state
from tests.conftest import unrecorded, wait_until_recorded
from tests.sampling import sample

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

SPEC = """
version: 1
name: small
device: {type: cpu, threads: 1}
data:
  formula: {rows: 60, inputs: {x: {Uniform: [-2, 2]}}, targets: {y: x**2}, noise: {y: {Normal: [0, 0.1]}}}
  split: {val: 0.25}
model: [Linear: 8, ReLU, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 6, batch_size: 20}
metrics: [R2Score]
plots: [predictions]
tracking: {wait_seconds: 0}
"""
WAITS = """
import time
from annpipe import Look, callback

@callback
class waits:
    def on_look(self, look: Look) -> None:
        time.sleep(600)
"""
TABLES = ("trials.json", "groups.json")
Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def type_in(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Type]:
    """`annpipe …` typed in a project with the spec; a record only for a test whose name asks for it."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["annpipe", *words])
        capsys.readouterr()
        code = outcome()
        return (code, *capsys.readouterr())

    with nullcontext() if "recorded" in request.node.name else unrecorded():
        yield call


def swept(type_in: Type, *words: str, code: int = 0) -> dict[str, Any]:
    found, printed, said = type_in("sweep", "spec.yaml", *words, "--json")
    assert found == code, said
    result: dict[str, Any] = json.loads(printed)
    return result


def test_each_trial_equals_its_solo_run(type_in: Type, tmp_path: Path) -> None:
    """Values and weights, but for rounding: two stacks of two; the best one's plan is a spec that trains the same."""
    found = swept(type_in, "--over", "optimizer.Adam.lr=1e-3,3e-2", "--over", "model.1=ReLU,Tanh")
    assert [trial["values"]["model.1"] for trial in found["trials"]] == ["ReLU", "Tanh"] * 2
    for trial in (found["trials"][0], found["trials"][3]):  # one of each stack
        values = [f"{path}={json.dumps(value)}" for path, value in trial["values"].items()]
        solo = annpipe.run(tmp_path / "spec.yaml", overrides=values)
        assert trial["finals"] == pytest.approx(solo.values, rel=1e-4)
        files = [folder / "model" / "weights.safetensors" for folder in (tmp_path / "runs" / trial["run"], solo.folder)]
        one, other = (load_file(file) for file in files)
        assert all(one[name].allclose(other[name], rtol=1e-3, atol=1e-5) for name in one)
        events = journal.read(tmp_path / "runs" / trial["run"])
        assert "stacked" in [event.tags.get("annpipe.gear") for event in events if isinstance(event, TagsSet)]
    losses = {trial["run"]: trial["finals"]["val/loss"] for trial in found["trials"]}
    assert found["best"] == min(losses, key=losses.__getitem__)
    code, printed, _ = type_in("best", found["sweep"])
    assert code == 0
    (tmp_path / "best.yaml").write_text(printed, encoding="utf-8")
    assert annpipe.run(tmp_path / "best.yaml").values["val/loss"] == pytest.approx(losses[found["best"]], rel=1e-4)
    code, printed, _ = type_in("compare", found["sweep"], "--json")
    assert list(json.loads(printed)["asked"]) == ["model.1", "optimizer.Adam.lr"]
    assert type_in("predict", found["best"], "points.csv")[0] == 2  # there is a model, and no such file


@pytest.mark.slow
def test_trials_are_made_once(type_in: Type, tmp_path: Path) -> None:
    """A second sweep trains what is new alone, a solo run counts, and another value of the data is another trial."""
    annpipe.run(tmp_path / "spec.yaml", overrides=["optimizer.Adam.lr=0.02"])
    first = swept(type_in, "--over", "optimizer.Adam.lr=0.01,0.02")
    assert [trial["made_before"] for trial in first["trials"]] == [False, True]
    second = swept(type_in, "--over", "optimizer.Adam.lr=0.01,0.02,0.03")
    assert [trial["made_before"] for trial in second["trials"]] == [True, True, False]
    assert second["trials"][0]["finals"] == first["trials"][0]["finals"]
    code, printed, _ = type_in("sweep", "spec.yaml", "--over", "optimizer.Adam.lr=0.01,0.04", "--dry-run")
    assert code == 0
    assert "to train    1 (1 made before)" in printed
    other = swept(type_in, "--over", "optimizer.Adam.lr=0.01", "--set", "data.formula.rows=64")
    assert [trial["made_before"] for trial in other["trials"]] == [False]


@pytest.mark.slow
def test_seeds_are_averaged(type_in: Type) -> None:
    """The groups, best mean first, with the interval; the terminal shows them."""
    found = swept(type_in, "--over", "optimizer.Adam.lr=1e-4,3e-2", "--seeds", "3", "--metric", "val/r2_score")
    assert found["goal"] == "maximize"
    assert [group["values"] for group in found["groups"]] == [{"optimizer.Adam.lr": 3e-2}, {"optimizer.Adam.lr": 1e-4}]
    group = found["groups"][0]
    values = [found["trials"][number]["finals"]["val/r2_score"] for number in group["trials"]]
    assert group["mean"] == pytest.approx(sum(values) / 3)
    assert found["best"] == found["trials"][group["trials"][values.index(max(values))]]["run"]
    code, printed, said = type_in(
        "sweep", "spec.yaml", "--over", "optimizer.Adam.lr=1e-4,3e-2", "--seeds", "3", "--metric", "val/r2_score"
    )
    assert code == 0
    assert "mean val/r2_score" in printed
    assert said.count("(made before)") == 6


def test_what_is_recorded_is_a_run_above_and_a_run_a_trial(type_in: Type, tmp_path: Path) -> None:
    """Nested in MLflow, each with params, points and status; the table, the best spec, its model and the figures."""
    found = swept(type_in, "--over", "optimizer.Adam.lr=1e-3,1e-2", "--seeds", "2")
    folder = tmp_path / "runs" / found["sweep"]
    wait_until_recorded(folder)
    client = MlflowClient(embedded_uri(tmp_path))
    above = client.get_run(str(read_state(folder).run_id))
    assert above.info.status == "FINISHED"
    assert json.loads(above.data.params["over.optimizer.Adam.lr"]) == [1e-3, 1e-2]
    assert above.data.tags["annpipe.best_trial"] == found["best"]
    kept = {item.path for item in client.list_artifacts(above.info.run_id)}
    own = {"trials.json", "trials.csv", "groups.json", "best.yaml", "spec.yaml", "environment.txt", "plots"}
    assert own <= kept
    assert {Path(item.path).name for item in client.list_artifacts(above.info.run_id, "plots")} == {
        "curves.svg",
        "repeats.svg",
        "values.svg",
    }
    group = found["groups"][0]
    assert above.data.metrics["best_trial.val.loss_mean"] == pytest.approx(group["mean"])
    assert above.data.metrics["best_trial.val.loss_high"] == pytest.approx(group["mean"] + group["half_width_95"])
    tables = {file: client.load_table(above.info.experiment_id, file, [above.info.run_id]) for file in TABLES}
    finals = [trial["finals"]["val/loss"] for trial in found["trials"]]
    assert tables["trials.json"]["val/loss"].tolist() == pytest.approx(finals)
    assert tables["groups.json"]["val/loss_mean"].tolist() == pytest.approx([one["mean"] for one in found["groups"]])
    children = client.search_runs(
        [above.info.experiment_id], f"tags.`mlflow.parentRunId` = '{above.info.run_id}'", max_results=50
    )
    assert {child.data.tags["annpipe.run_id"] for child in children} == {trial["run"] for trial in found["trials"]}
    for child in children:
        trial = next(one for one in found["trials"] if one["run"] == child.data.tags["annpipe.run_id"])
        assert child.info.status == "FINISHED"
        values = trial["values"]
        assert child.info.run_name == f"lr {values['optimizer.Adam.lr']:g}, seed {values['seed']}"
        assert float(child.data.params["optimizer.Adam.lr"]) == trial["values"]["optimizer.Adam.lr"]
        points = client.get_metric_history(child.info.run_id, "val/loss")
        assert [point.step for point in points] == [1, 2, 3, 4, 5, 6]
        assert points[-1].value == pytest.approx(trial["finals"]["val/loss"])
        assert is_recorded(tmp_path / "runs" / trial["run"])
    table = json.loads((folder / "trials.json").read_text())
    assert table["columns"][:3] == ["trial", "optimizer/Adam/lr", "seed"]  # MLflow's UI shows no column with a dot
    assert len(table["data"]) == 4
    assert journal.status(folder) == "FINISHED"


@pytest.mark.slow
def test_a_trial_that_fails_is_one_that_failed(type_in: Type) -> None:
    """The others go on, the exit code tells; with --fail stop none follows it; a second call tries it again."""
    words = ("--over", "optimizer={SGD: {lr: 0.01}},{SGD: {lr: 1e30}},{SGD: {lr: 0.02}}")
    found = swept(type_in, *words, code=1)
    assert [trial["status"] for trial in found["trials"]] == ["FINISHED", "FAILED", "FINISHED"]
    assert found["best"] in (found["trials"][0]["run"], found["trials"][2]["run"])
    again = swept(type_in, *words, "--fail", "stop", code=1)
    assert [trial["made_before"] for trial in again["trials"]] == [True, False]
    assert [trial["status"] for trial in again["trials"]] == ["FINISHED", "FAILED"]


@pytest.mark.slow
def test_what_cannot_be_stacked_goes_alone(type_in: Type, tmp_path: Path) -> None:
    """The plan says why, and the trial is the solo run to the last bit."""
    words = ("--seeds", "2", "--set", "device.autocast=bfloat16")
    _, printed, _ = type_in("sweep", "spec.yaml", *words, "--dry-run")
    assert "alone       because of device.autocast" in printed
    found = swept(type_in, *words)
    solo = annpipe.run(tmp_path / "spec.yaml", overrides=["device.autocast=bfloat16", "seed=1"])
    assert found["trials"][1]["finals"] == solo.values
    _, printed, _ = type_in("sweep", "spec.yaml", "--seeds", "3", "--over", "model.1=ReLU,Tanh", "--dry-run")
    assert "stacked     6 of them, 3 and 3 at a time" in printed


def test_a_stack_holds_no_more_than_a_share_of_the_memory(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large models go a few at a time, here of a machine that has little."""
    each = 25 * 4 * 4 + 20 * (1 + 8 + 8 + 1) * 4  # parameters with gradients and Adam's means; a batch's activations
    monkeypatch.setattr("annpipe.sweep.train_trials.MEMORY_FRACTION", 3.5 * each)
    monkeypatch.setattr("annpipe.sweep.train_trials.machine_memory", lambda: 1)
    _, printed, _ = type_in("sweep", "spec.yaml", "--seeds", "7", "--dry-run")
    assert "stacked     6 of them, 3 and 3 at a time" in printed


@pytest.mark.slow
def test_an_optimizer_of_a_plugin_is_swept_over(type_in: Type, tmp_path: Path) -> None:
    """In one stack, whose trials equal their solo runs; it is the example of the page for plugin authors."""
    page = (Path(__file__).parents[2] / "plugins" / "README.md").read_text(encoding="utf-8")
    code = next(block for block in page.split("```python\n") if "class Lion" in block).partition("```")[0]
    (tmp_path / "lion.py").write_text(code, encoding="utf-8")
    words = [
        "--set",
        "plugins=[lion.py]",
        "--set",
        "optimizer={Lion: {lr: 0.01}}",
        "--over",
        "optimizer.Lion.lr=1e-3,1e-2",
    ]
    _, printed, _ = type_in("sweep", "spec.yaml", *words, "--dry-run")
    assert "stacked     2 of them" in printed
    found = swept(type_in, *words)
    for trial, rate in zip(found["trials"], ("1e-3", "1e-2"), strict=True):
        solo = annpipe.run(
            tmp_path / "spec.yaml", overrides=["plugins=[lion.py]", f"optimizer={{Lion: {{lr: {rate}}}}}"]
        )
        assert trial["finals"] == pytest.approx(solo.values, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("alone", sample([False, True], 2))
def test_a_sweep_that_is_stopped_goes_on(alone: bool, type_in: Type, tmp_path: Path) -> None:
    """Ctrl-C ends the trials under way, stacked or not, with code 130; called again, it trains what is missing."""
    words = ["sweep", "spec.yaml", "--seeds", "2", *(["--set", "device.autocast=bfloat16"] if alone else [])]
    long = [*words, "--set", "train.epochs=200000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "annpipe", *long], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 300
    while not any('"series"' in path.read_text() for path in tmp_path.glob("runs/small-2*/journal.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=240)[0].decode()
    assert process.returncode == 130
    assert "KILLED  small sweep" in printed
    killed = [folder for folder in tmp_path.glob("runs/small-2*") if journal.status(folder) == "KILLED"]
    assert len(killed) == (1 if alone else 2)
    assert [trial["status"] for trial in swept(type_in, *words[2:])["trials"]] == ["FINISHED", "FINISHED"]


@pytest.mark.slow
def test_trials_are_in_mlflow_while_they_run(tmp_path: Path) -> None:
    """As RUNNING, with params and points; after a kill -9 of the sweep none stays so, and each point is there once."""
    (tmp_path / "waits.py").write_text(WAITS.replace("600", "0.01"), encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(f"{SPEC}plugins: [./waits.py]\ncallbacks: [waits]\n", encoding="utf-8")
    words = ["sweep", "spec.yaml", "--seeds", "2", "--set", "train.epochs=9000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "annpipe", *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def asked(query: str) -> dict[str, Any]:
        if not (tmp_path / "mlflow.db").is_file():
            return {}
        with closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=300)) as store:
            return dict(store.execute(query).fetchall())

    def wait_for(status: str) -> None:
        deadline = time.monotonic() + 300
        query = "SELECT p.value, r.status FROM runs r JOIN params p USING (run_uuid) WHERE p.key='seed'"
        while (found := asked(query)) != {"0": status, "1": status}:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    def epochs() -> dict[str, int]:
        """By run, of those that are RUNNING."""
        running = "JOIN runs r USING (run_uuid) WHERE r.status='RUNNING' AND m.key='val/loss'"
        return asked(f"SELECT run_uuid, MAX(m.step) FROM metrics m {running} GROUP BY run_uuid")

    try:
        wait_for("RUNNING")
        while len(before := epochs()) < 2:
            assert process.poll() is None
            time.sleep(0.2)
        while any(epochs().get(run, 0) <= last for run, last in before.items()):
            assert process.poll() is None
            time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
    wait_for("KILLED")
    client = MlflowClient(embedded_uri(tmp_path))
    for folder in tmp_path.glob("runs/small-2*"):
        points = client.get_metric_history(str(read_state(folder).run_id), "val/loss")
        shipped = [(point.step, point.value, point.timestamp) for point in points]
        written = [point for event in journal.read(folder) for point in journal.points(event)]
        assert sorted(shipped) == [tuple(rest) for key, *rest in written if key == "val/loss"]


@pytest.mark.slow
@pytest.mark.parametrize("unset", [False, True], ids=["no split", "another split"])
def test_folds_need_no_split_in_the_spec(unset: bool, type_in: Type, tmp_path: Path) -> None:
    """`--folds 3` makes the section; and where the spec's own is left out, the folds are not left out with it."""
    if not unset:
        (tmp_path / "spec.yaml").write_text(SPEC.replace("  split: {val: 0.25}\n", ""), encoding="utf-8")
    words = ("--folds", "3", *(("--unset", "data.split") if unset else ()))
    found = swept(type_in, *words)
    assert found["metric"] == "val/loss"
    assert len({trial["finals"]["val/loss"] for trial in found["trials"]}) == 3
    code, _, said = type_in("sweep", "spec.yaml", "--set", "data.split.val=0.25", "--folds", "3", "--dry-run")
    assert code == 3
    assert "`--unset data.split.val`" in said


@pytest.mark.slow
def test_folds_are_a_sweep(type_in: Type) -> None:
    """Cross-validation: each fold once, one group."""
    words = ("--set", "data.split={folds: 3}", "--over", "data.split.fold=0..2")
    found = swept(type_in, *words)
    assert [group["trials"] for group in found["groups"]] == [[0, 1, 2]]
    assert found["groups"][0]["values"] == {}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "does not say what to try"),
        (("--over", "optimizer.Adam.lr"), 3, "names no path and values"),
        (("--over", "optimizer.Adam.lr=1e-3,fast"), 3, "must be a number at least 0; found the word 'fast'"),
        (("--over", "optimizer.Adm.lr=1e-3"), 3, "there is no"),
        (("--over", "model.1=ReLU,Rleu"), 3, "there is no layer 'Rleu'"),
        (("--seeds", "2", "--metric", "val/accuracy"), 3, "no trial has the metric 'val/accuracy'"),
        (("--seeds", "2", "--over", "seed=1,2"), 3, "`seed` is swept over twice"),
    ],
)
def test_what_cannot_be_swept(type_in: Type, tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    """Found before any trial is trained: nothing is left behind."""
    found, printed, said = type_in("sweep", "spec.yaml", *words)
    assert (found, printed) == (code, "")
    assert message in said
    assert not (tmp_path / "runs").exists()
