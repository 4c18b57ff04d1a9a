"""`annpipe register RUN NAME`: a version in MLflow's registry that is the run's logged model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking.client import MlflowClient

import annpipe
from annpipe.record.journal import location
from annpipe.record.journal.seal import FILE as SEAL
from annpipe.record.journal.state import is_recorded
from annpipe.record.shipper import registering
from tests.conftest import CliHere, unrecorded

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

SPEC = """
version: 1
name: line
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 1, 2]}, targets: {y: [1, 3, 5]}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 5}
plots: []
"""
Run = Callable[[str], Path]


@pytest.fixture
def run(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run of a name, which nobody has shipped yet."""
    shutil.copy(empty_store, tmp_path / location.DATABASE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "line.yaml").write_text(SPEC, encoding="utf-8")

    def trained(name: str) -> Path:
        with unrecorded():
            return annpipe.run(tmp_path / "line.yaml", name=name).folder

    return trained


@pytest.mark.slow
def test_a_process_that_uses_another_store_registers_in_that_of_the_run(
    run: Run, annpipe_here: CliHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's registry asks the store of the process, which is put back afterwards."""
    import mlflow

    run("first")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    mlflow.set_tracking_uri(other)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    try:
        code, _, told = annpipe_here("register", "first", "lines")
        assert code == 0, told
        assert mlflow.get_tracking_uri() == other
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_version_is_the_runs_logged_model(run: Run, annpipe_here: CliHere, tmp_path: Path) -> None:
    """The record is made first; registered twice, a run keeps its version; an alias moves to the latest."""
    import mlflow.pyfunc

    first, second = run("first"), run("second")
    words = ("--alias", "champion", "--json")
    code, printed, told = annpipe_here("register", "first", "lines", "--tag", "stage=a/b=c", *words)
    assert code == 0, told
    assert "shipping what the store lacks" in told
    assert is_recorded(first)
    facts = json.loads(printed)
    client: Any = MlflowClient(location.embedded_uri(tmp_path), location.embedded_uri(tmp_path))
    version = client.get_model_version_by_alias("lines", "champion")
    model = client.get_logged_model(facts["model_id"])
    assert (facts["version"], facts["is_new"], version.version) == (1, True, 1)
    assert (version.run_id, model.source_run_id) == (facts["mlflow_run_id"], facts["mlflow_run_id"])
    assert (version.source, version.tags) == (f"models:/{model.model_id}", {"stage": "a/b=c"})
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "lines", "version": 1}]
    again = json.loads(annpipe_here("register", "first", "lines", "--alias", "old", "--json")[1])
    assert (again["version"], again["is_new"]) == (1, False)
    assert json.loads(annpipe_here("register", "second", "lines", *words)[1])["version"] == 2
    assert client.get_registered_model("lines").aliases == {"champion": 2, "old": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", location.embedded_uri(tmp_path))
        answers: Any = mlflow.pyfunc.load_model("models:/lines@champion").predict({"x": [0.0, 1.0]})
    assert list(answers) == ["y"]
    assert second.name in annpipe_here("register", "second", "lines")[1]


@pytest.mark.slow
def test_a_record_that_cannot_be_made_complete_is_said(
    run: Run, annpipe_here: CliHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registering, "SECONDS_ALONE", 0.2)
    run("first")
    code, printed, told = annpipe_here("register", "first", "lines", "--tracking-uri", "http://u:pw@127.0.0.1:9")
    assert (code, printed) == (5, "")
    assert "is not complete in http://***@127.0.0.1:9" in told
    assert "pw" not in told


def test_a_run_that_has_no_model_of_the_users_is_refused(run: Run, annpipe_here: CliHere) -> None:
    """One of somebody else, one that did not finish; before anything is shipped."""
    folder = run("first")
    (folder / SEAL).rename(folder / "gone")
    code, _, told = annpipe_here("register", "first", "lines")
    assert (code, "is not known as one that you made" in told) == (2, True)
    shutil.rmtree(folder / "model")
    code, _, told = annpipe_here("register", "first", "lines")
    assert (code, "has no model: it did not finish" in told) == (2, True)
    assert not is_recorded(folder)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a/b",), "has the sign '/'"),
        (("a:b",), "has the sign ':'"),
        ((" ",), "is no name of a model"),
        (("..",), "is no name of a model"),
        (("a\u202eb",), "cannot be seen"),
        (("a\nb",), "cannot be seen"),
        (("a" * 251,), "has 251 characters"),
        (("a", "--alias", "v1"), "means a version by itself"),
        (("a", "--alias", "latest"), "means a version by itself"),
        (("a", "--alias", "x' OR 1=1"), "must be made of letters"),
        (("a", "--tag", "=b"), "must be KEY=VALUE"),
        (("a", "--tag", "../x=b"), "must be KEY=VALUE"),
        (("a", "--tag", "b"), "must be KEY=VALUE"),
    ],
)
def test_a_name_that_no_address_can_say_is_wrong_usage(
    annpipe_here: CliHere, words: tuple[str, ...], told: str
) -> None:
    """Before any run is looked for."""
    code, printed, printed_err = annpipe_here("register", "run", *words)
    assert (code, printed) == (2, "")
    assert told in printed_err.replace("\n", " ")
