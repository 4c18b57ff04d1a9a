"""A record is complete when the store says so: it is asked, and gets what it lacks."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from click.testing import CliRunner, Result
from mlflow.tracking.client import MlflowClient

from annpipe.cli.commands.sync import command
from annpipe.errors import StoreError
from annpipe.record.journal import location
from annpipe.record.journal.events import ArtifactKept, DatasetUsed, ModelSaved, RunEnded, RunResumed
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.state import Shipped, is_recorded, read_state, write_state
from annpipe.record.shipper import follow
from annpipe.record.shipper.recorder import Recorder
from annpipe.record.shipper.retry import TrainerPipe, call_once
from annpipe.record.shipper.shipment import Shipment, feed_all
from annpipe.record.store.client import Store
from annpipe.record.store.content import Content
from annpipe.record.store.contents import Question, ask
from annpipe.record.store.faults import RunDeleted, RunGone

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000
N_STEPS = 40


@pytest.fixture
def client(project: Path) -> Any:
    """MLflow's own client on the project's store."""
    return MlflowClient(tracking_uri=location.embedded_uri(project))


@pytest.fixture
def whole(begin: Any) -> Callable[[], Path]:
    """A run that has ended, with one of everything; nobody has shipped it."""

    def make(**changes: Any) -> Path:
        run = begin(
            params={"lr": "0.1", "size": "3"},
            tags={"mlflow.user": "ann", "team (a)": "b"},
            description="a note",
            **changes,
        )
        (run.folder / "plan.yaml").write_text("seed: 0\n")
        run.journal.write(ArtifactKept(file="plan.yaml", to=""))
        dataset = {"name": "formula", "digest": "ab" * 8, "source": "x**2", "context": "train"}
        run.journal.write(DatasetUsed(dataset=dataset))
        run.journal.series("train/loss", 1, [1 / (step + 1) for step in range(N_STEPS)], BEGAN, BEGAN + N_STEPS)
        run.journal.metrics(N_STEPS, {"val/price ($)/loss": 0.5}, BEGAN + N_STEPS)
        model = run.folder / "model"
        model.mkdir()
        column = [{"name": "x", "type": "double", "shape": []}]
        text = {"inputs": column, "outputs": column, "inputs_example": {"x": [0.0]}, "requirements": ["numpy"]}
        (model / "model.json").write_text(json.dumps(text))
        run.journal.write(ModelSaved(folder="model"))
        return run.end()

    return make


def shipped(folder: Path) -> Shipped:
    """Ships a run whose trainer is gone."""
    with follow.logging_to(folder):
        return follow.ship(folder, follow.store_of(folder), TrainerPipe(None), 1.0)


def sync(*arguments: str) -> Result:
    """Calls the command; one that fails has its exception beside what it printed."""
    return CliRunner().invoke(command, arguments)


def all_of(client: Any, folder: Path) -> dict[str, Any]:
    """All that MLflow's client says of a run, but its ids."""
    state = read_state(folder)
    run = client.get_run(str(state.run_id))
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.log-model")}
    points = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    places = [one.path for folder in (None, "plots") for one in client.list_artifacts(run.info.run_id, folder)]
    return {
        "info": (run.info.status, run.info.start_time, run.info.end_time, run.info.lifecycle_stage),
        "params": run.data.params,
        "tags": tags,
        "latest": run.data.metrics,
        "points": {key: sorted((p.step, p.value, p.timestamp) for p in some) for key, some in points.items()},
        "data": [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs],
        "artifacts": sorted(places),
        "model": sorted(one.path for one in client.list_logged_model_artifacts(state.model_id)),
        "model status": str(client.get_logged_model(state.model_id).status),
        "models": len(client.search_logged_models([str(state.experiment_id)])),
    }


def delete_rows(project: Path, statement: str) -> None:
    """Changes the store behind everybody's back."""
    connection = sqlite3.connect(project / location.DATABASE)
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


DAMAGES: dict[str, tuple[str, str]] = {
    "a series": ("DELETE FROM metrics WHERE key = 'train/loss'", "40 of 40 points of train/loss"),
    "a point": ("DELETE FROM metrics WHERE key = 'train/loss' AND step = 17", "1 of 40 points of train/loss"),
    "the first ones": ("DELETE FROM metrics WHERE step < 20", "19 of 40 points of train/loss"),
    "a key with signs": ("DELETE FROM metrics WHERE key LIKE 'val/price%'", "1 of 1 points of val/price ___-x"),
    "a param": ("DELETE FROM params WHERE key = 'lr'", "param lr"),
    "a tag": ("DELETE FROM tags WHERE key LIKE 'team%'", "tag team _a_-x"),
    "the note": ("DELETE FROM tags WHERE key = 'mlflow.note.content'", "tag mlflow.note.content"),
    "the data": ("DELETE FROM inputs WHERE source_type = 'DATASET'", "dataset formula abab"),
    "the status": ("UPDATE runs SET status = 'RUNNING', end_time = NULL", "the status FINISHED"),
    "the model's end": ("UPDATE logged_models SET status = 1", "model"),
    "the model": ("UPDATE logged_models SET lifecycle_stage = 'deleted'", "model"),
}


def test_what_the_store_lacks_is_sent_again(
    project: Path, client: Any, whole: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is taken out of it; everything is there once, and the next sync finds nothing to do."""
    monkeypatch.chdir(project)
    folder = whole()
    assert shipped(folder).complete
    before = all_of(client, folder)
    assert len(before["points"]["train/loss"]) == N_STEPS
    for damage, (statement, told) in DAMAGES.items():
        delete_rows(project, statement)
        done = sync()
        assert f"{folder.name}: the store lacks {told}" in done.stdout, damage
        assert done.exit_code == 0, done.output
        assert all_of(client, folder) == before, damage
    assert "complete already" in sync().stdout


def test_files_that_are_gone_are_sent_again(
    project: Path, client: Any, whole: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the run and of its model; a note that somebody has edited stays."""
    monkeypatch.chdir(project)
    folder = whole()
    state = shipped(folder)
    client.set_tag(str(state.run_id), "mlflow.note.content", "edited")
    before = all_of(client, folder)
    root = location.artifact_root(location.embedded_uri(project), project)
    shutil.rmtree(str(root))
    done = sync()
    assert "the store lacks artifact names.json, artifact plan.yaml, model" in done.stdout
    assert all_of(client, folder) == before
    assert before["tags"]["mlflow.note.content"] == "edited"
    assert "complete already" in sync().stdout


def test_a_store_that_was_moved_away_is_made_anew(
    project: Path, client: Any, whole: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journals have everything; a run of which nothing is there is not called recorded."""
    monkeypatch.chdir(project)
    folder = whole()
    assert shipped(folder).complete
    before = all_of(client, folder)
    (project / location.DATABASE).rename(project / "kept.db")
    assert not is_recorded(folder)
    assert "shipped" in sync().stdout
    again = MlflowClient(tracking_uri=location.embedded_uri(project))
    assert all_of(again, folder) == before
    assert is_recorded(folder)


def test_a_store_that_is_moved_away_while_it_is_open(project: Path, whole: Callable[[], Path]) -> None:
    """What a shipper writes into the file that it has open is nowhere: the path is what counts."""
    folder = whole()
    store = Store(location.embedded_uri(project))
    first = Shipment(folder, store, call_once, Shipped(store=store.uri))
    with follow.logging_to(folder):
        feed_all(first, folder)
        first.flush()
    (project / location.DATABASE).rename(project / "kept.db")
    assert shipped(folder).complete
    run = MlflowClient(tracking_uri=store.uri).get_run(str(read_state(folder).run_id))
    assert run.info.status == "FINISHED"
    assert (project / location.DATABASE).is_file()


@pytest.mark.parametrize("what", ["run", "experiment"])
def test_what_is_deleted_while_it_trains_is_not_complete(
    what: str, project: Path, client: Any, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record says so; restored, it gets all that it lacks, and its status."""
    monkeypatch.chdir(project)
    run = begin(params={"a": "1"})
    run.journal.series("train/loss", 1, [1.0] * 20, BEGAN, BEGAN + 20)
    run.journal.close()
    first = shipped(run.folder)
    delete, restore = (getattr(client, f"{verb}_{what}") for verb in ("delete", "restore"))
    target = first.run_id if what == "run" else first.experiment_id
    delete(target)
    journal = Journal.reopen(run.folder)
    journal.write(RunResumed(time=BEGAN + 30, step=20))
    journal.series("train/loss", 21, [1.0] * 20, BEGAN + 30, BEGAN + 50)
    journal.write(RunEnded(status="FINISHED", time=BEGAN + 60, error=None))
    journal.close()
    done = sync()
    assert "was deleted; restore it in MLflow's UI" in done.stderr
    assert isinstance(done.exception, StoreError)
    state = read_state(run.folder)
    assert (state.complete, state.refused) == (False, ())
    restore(target)
    assert sync().exit_code == 0
    found = client.get_run(str(first.run_id))
    assert found.info.status == "FINISHED"
    history = client.get_metric_history(str(first.run_id), "train/loss")
    assert sorted(point.step for point in history) == list(range(1, 41))


@pytest.mark.slow
def test_a_live_run_that_is_deleted_and_restored_is_recorded_by_its_own_shipper(
    project: Path, client: Any, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is taken for refused meanwhile; one that stays deleted is left where it is."""
    monkeypatch.chdir(project)
    run = begin()
    run.journal.series("train/loss", 1, [1.0] * 20, BEGAN, BEGAN + 20)
    recorder = Recorder.start_shipper()
    recorder.attach(run.folder)
    deadline = time.monotonic() + 300
    while not read_state(run.folder).offset and time.monotonic() < deadline:
        time.sleep(0.1)
    run_id = str(read_state(run.folder).run_id)
    client.delete_run(run_id)
    run.journal.series("train/loss", 21, [1.0] * 20, BEGAN + 20, BEGAN + 40)
    while not read_state(run.folder).problem and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "was deleted" in str(read_state(run.folder).problem)
    client.restore_run(run_id)
    run.end()
    state = recorder.finish(300)
    assert (state.complete, state.problem) == (True, None)
    assert len(client.get_metric_history(run_id, "train/loss")) == 40
    assert client.get_run(run_id).info.status == "FINISHED"
    client.delete_run(run_id)
    done = sync()
    assert (done.exit_code, "deleted in MLflow after it was recorded" in done.stderr) == (0, True)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"


def test_a_live_run_that_is_deleted_and_then_gone_for_good_is_recorded_anew(
    project: Path, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shipper waits for it to be restored, and somebody empties the bin."""
    monkeypatch.setattr(follow, "SECONDS_BETWEEN_QUESTIONS", 0.01)
    run = begin()
    answers = iter([RunDeleted("deleted"), RunGone("gone")])
    shipped = []

    def check(run_id: str) -> None:
        raise next(answers)

    def shipping() -> None:
        shipped.append(run.folder)
        if len(shipped) < 3:
            raise (RunDeleted("deleted"), RunGone("gone"))[len(shipped) - 1]

    store, uri = Store(location.embedded_uri(project)), location.embedded_uri(project)
    monkeypatch.setattr(store, "check", check)
    reading, writing = os.pipe()  # the trainer lives
    told: list[str] = []

    def restored() -> bool:
        return follow._restored(run.folder, uri, store, call_once, TrainerPipe(reading), told.append)

    follow._till_it_is_there(shipping, restored, run.folder, uri)
    os.close(reading)
    os.close(writing)
    assert (len(shipped), told) == (3, ["deleted"])


def test_a_record_of_an_earlier_version_is_asked_for_as_well(
    project: Path, client: Any, whole: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state does not tell what to ask for: the journal does."""
    monkeypatch.chdir(project)
    folder = whole()
    state = shipped(folder)
    before = all_of(client, folder)
    write_state(folder, replace(state, expected=None))
    delete_rows(project, "DELETE FROM params WHERE key = 'lr'")
    assert sync().exit_code == 0
    assert all_of(client, folder) == before
    assert "complete already" in sync().stdout


def test_refused_items_are_named_and_the_record_is_not_complete(
    project: Path, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, each with its reason; it is tried again by the next one."""
    monkeypatch.chdir(project)
    run = begin(params={"a": "1"})
    run.journal.write(ArtifactKept(file="lost.csv", to="tables"))
    run.end()
    done = sync()
    assert isinstance(done.exception, StoreError)
    assert "refused: artifact tables/lost.csv: " in done.stderr
    assert "is not there" in done.stderr
    (run.folder / "lost.csv").write_text("found")
    assert sync().exit_code == 0
    assert is_recorded(run.folder)


def test_hundreds_of_runs_are_asked_for_in_a_few_statements(project: Path) -> None:
    """Five a question of two hundred runs; each answer is the run's own."""
    store = Store(location.embedded_uri(project))
    experiment = store.client.create_experiment("many")
    questions = []
    with store.all_at_once():
        for number in range(250):
            run_id = store.client.create_run(experiment).info.run_id
            store.client.log_param(run_id, f"p{number}", "1")
            expected = Content("RUNNING", frozenset({f"param p{number}"}))
            questions.append(Question(run_id, experiment, None, expected))
    statements = []

    def noted(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(store.database.engine, "before_cursor_execute", noted)
    try:
        answers = ask(store, questions)
    finally:
        sqlalchemy.event.remove(store.database.engine, "before_cursor_execute", noted)
    assert len(statements) <= 10
    assert len(answers) == 250
    assert not any(question.expected.lacking_in(answers[question.run_id].content) for question in questions)
