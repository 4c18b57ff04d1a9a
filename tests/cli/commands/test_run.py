"""`annpipe run` and its kin, as a user drives them: a process, a project folder, a real MLflow store."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from annpipe.runs import launch
from tests.conftest import Cli, CliHere, unrecorded

SPEC = """
version: 1
name: small
description: a small run
tags: {team: curves}
tracking: {wait_seconds: 120}
seed: 3
device: {type: cpu, threads: 1}
data:
  formula:
    rows: 60
    inputs: {a: {Uniform: [-1, 1]}, b: {Normal: [0, 1]}}
    targets: {y: a + 2*b, z: y - 1}
    noise: {y: {Normal: [0, 0.1]}}
  split: {val: 0.25, test: 0.25}
model: [Linear: 8, Tanh, Dropout: 0.1, Linear: 2]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
scheduler: {StepLR: 10}
train: {epochs: 25, batch_size: 8, evaluate_every: 5}
metrics: [MeanAbsoluteError, R2Score]
plots: [data, learning_curve, predictions, activations]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec that trains in a second and uses most sections."""
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def client(project: Path) -> Any:
    """MLflow's client on the project's embedded store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of its own code
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")


def test_a_run_is_recorded_whole(annpipe: Cli, spec: Path, tmp_path: Path) -> None:
    """Results are on stdout, progress is on stderr in plain lines when there is no terminal; status, params, history,
    final and best values, dataset, tags, note, artifacts and model are in MLflow."""
    done = annpipe("run", spec.name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FINISHED  small\n")
    for word in ("run     runs/small-", "record  complete", "test/r2_score", "annpipe ui"):
        assert word in done.stdout
    assert "epoch 25/25  train/loss" in done.stderr
    listed = json.loads(annpipe("runs", "--json").stdout)
    assert [(run["name"], run["status"]) for run in listed] == [("small", "FINISHED")]
    mlflow = client(tmp_path)
    found = mlflow.search_runs([one.experiment_id for one in mlflow.search_experiments()])
    assert len(found) == 1
    run = mlflow.get_run(found[0].info.run_id)
    assert run.info.status == "FINISHED"
    assert mlflow.get_experiment(run.info.experiment_id).name == "small"
    assert run.info.experiment_id != "0"
    assert run.data.params["optimizer.Adam.lr"] == "0.01"
    assert run.data.params["model.0"] == "Linear"
    assert len(run.data.params) <= 40
    assert run.data.params["data.formula.noise.y.Normal.scale"] == "0.1"
    history = mlflow.get_metric_history(run.info.run_id, "train/loss")
    assert [point.step for point in history] == list(range(1, 26))
    assert [p.step for p in mlflow.get_metric_history(run.info.run_id, "val/r2_score")] == [5, 10, 15, 20, 25]
    rates = {p.step: p.value for p in mlflow.get_metric_history(run.info.run_id, "lr")}
    assert rates == {1: 0.01, 11: pytest.approx(0.001), 21: pytest.approx(0.0001)}
    keys = {"final.train.loss", "final.val.loss", "final.test.loss", "final.test.r2_score", "best.val.loss"}
    assert keys <= set(run.data.metrics)
    assert run.data.metrics["best.train.loss"] == min(point.value for point in history)
    tags = run.data.tags
    assert (tags["team"], tags["annpipe.seed"], tags["annpipe.device"]) == ("curves", "3", "cpu")
    note = tags["mlflow.note.content"]
    assert note.startswith("a small run\n\n**test/")
    assert f"\n\n    annpipe run {spec.name}" in note
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, len(dataset.digest)) == ("formula", 16)
    files = {item.path for item in mlflow.list_artifacts(run.info.run_id)}
    assert {"spec.yaml", "plan.yaml", "environment.txt", "plots"} <= files
    plots = {item.path for item in mlflow.list_artifacts(run.info.run_id, "plots")}
    assert plots == {f"plots/{name}.svg" for name in ("data", "learning_curve", "predictions", "activations")}
    (output,) = run.outputs.model_outputs
    assert output.step == 25
    (model,) = mlflow.search_logged_models([run.info.experiment_id])
    assert (model.model_id, model.name, model.params["optimizer.Adam.lr"]) == (output.model_id, "small", "0.01")
    assert {(metric.key, metric.dataset_name) for metric in model.metrics} >= {(key, "formula") for key in keys}
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_a_renamed_run_stays_in_its_experiment(annpipe: Cli, spec: Path, tmp_path: Path) -> None:
    """So that runs of one spec are compared side by side; the resolved plan is a spec that runs, to the same bits."""
    first = annpipe("run", spec.name, "--name", "faster", "--set", "optimizer.Adam.lr=0.1", "--json")
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    assert result["recorded"] is True
    plan = Path(result["folder"]) / "plan.yaml"
    (tmp_path / "again.yaml").write_text(plan.read_text())
    again = json.loads(annpipe("run", "again.yaml", "--json").stdout)
    assert again["values"] == result["values"]
    names = {experiment.name for experiment in client(tmp_path).search_experiments()}
    assert names == {"Default", "small"}


@pytest.mark.slow
def test_a_dry_run_shows_the_plan_and_makes_nothing(annpipe: Cli, spec: Path, tmp_path: Path) -> None:
    """Layers, shapes and parameters; no folder, no store."""
    done = annpipe("run", spec.name, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Linear {in_features: 2, out_features: 8, bias: true}" in done.stdout
    assert "val 25%" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.yaml"]


@pytest.mark.slow
def test_two_runs_with_fixed_threads_are_equal_bit_for_bit(spec: Path) -> None:
    """Same seed, same numbers; another seed, others. Those of two processes are compared above."""
    with unrecorded():
        values = [launch.run(spec, overrides=["tracking.wait_seconds=0", f"seed={seed}"]).values for seed in (3, 3, 4)]
    assert values[0] == values[1]
    assert values[0] != values[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "none.yaml"], 3, ["file-not-found", "small.yaml"]),
        (["run", "small.yaml", "--set", "optimizer.Adam.lr=fast"], 3, ["wrong-type", "the command line", "^^^^"]),
        (["run", "small.yaml", "--set", "optimizr.Adam.lr=1"], 3, ["override", "did you mean 'optimizer'"]),
        (["run", "small.yaml", "--device", "cuda:7"], 3, ["no-such-device", "cpu"]),
        (["run", "small.yaml", "--tracking-uri", "./here"], 5, ["folder", "sqlite"]),
        (["run"], 2, ["Missing argument"]),
        (["frobnicate"], 2, ["No such command"]),
        (["show", "layer", "Linea"], 2, ["Linear"]),
        (["resume", "nothing"], 2, ["no runs"]),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(
    annpipe: Cli, spec: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    """With words on stderr, never a traceback."""
    done = annpipe(*arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], ["torch", "mlflow", "pydantic", "yaml"]),
        (["list"], ["torch", "mlflow", "pydantic"]),
        (["validate", "wrong.yaml"], ["torch", "mlflow"]),
        (["validate", "small.yaml"], ["mlflow"]),
        (["runs"], ["torch", "mlflow", "pydantic"]),
    ],
)
def test_a_command_imports_only_what_it_needs(
    spec: Path, tmp_path: Path, arguments: list[str], absent: list[str]
) -> None:
    """torch takes seconds to import; no command pays for what it does not use."""
    (tmp_path / "wrong.yaml").write_text(SPEC.replace("Adam:", "Adamm:"))
    script = (
        "import sys\nfrom annpipe.cli import outcome\nsys.argv = ['annpipe', *sys.argv[1:]]\noutcome()\n"
        "print('IMPORTED', *sorted(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    imported = set(done.stdout.rpartition("IMPORTED")[2].split())
    assert "annpipe" in imported
    assert not imported & set(absent)


def test_the_plan_command_prints_a_spec_that_gives_the_same_plan(
    annpipe_here: CliHere, spec: Path, tmp_path: Path
) -> None:
    """Spec → Plan → YAML → Plan is the identity."""
    (tmp_path / "full.yaml").write_text(annpipe_here("plan", spec.name, "--yaml")[1])
    plans = [json.loads(annpipe_here("plan", name, "--json")[1]) for name in ("small.yaml", "full.yaml")]
    assert plans[0] == plans[1]
    assert plans[0]["optimizer"]["Adam"]["fused"] is True


@pytest.mark.parametrize("name", ["", "  "])
def test_a_name_is_not_empty(name: str, annpipe_here: Any) -> None:
    """A run that is called nothing is found by nobody."""
    code, _, printed = annpipe_here("run", "spec.yaml", "--name", name)
    assert (code, "a name has at least one letter" in printed) == (2, True)
