"""What a store holds of runs: the same by SQL of a database as by the calls of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

from annpipe.record.journal import location
from annpipe.record.store.client import Store
from annpipe.record.store.content import Content, Held
from annpipe.record.store.contents import Question, ask, local_folder, present_points

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")


class Server(Store):
    """The store of a project, asked as a server is: by MLflow's client alone."""

    @property
    def database(self) -> Any:
        return None


@pytest.fixture(params=[Store, Server])
def store(request: pytest.FixtureRequest, project: Path) -> Store:
    made: Store = request.param(location.embedded_uri(project))
    return made


@pytest.fixture
def experiment(store: Store, project: Path) -> str:
    return str(store.client.create_experiment("a", artifact_location=(project / "artifacts").as_uri()))


def run(store: Store, experiment: str, tmp_path: Path) -> str:
    """A finished run with a param, a tag, three points of two series, a dataset and an artifact in a folder."""
    client = store.client
    run_id = str(client.create_run(experiment).info.run_id)
    points = [Metric("loss", 0.5, 10, 1), Metric("loss", 0.25, 20, 2), Metric("lr", 0.1, 10, 1)]
    client.log_batch(run_id, points, [Param("width", "3")], [RunTag("seed", "0")])
    client.log_inputs(run_id, [DatasetInput(Dataset("iris", "abc", "local", "iris.csv"), [])])
    (tmp_path / "a.svg").write_text("<svg/>")
    client.log_artifact(run_id, str(tmp_path / "a.svg"), "plots")
    client.set_terminated(run_id, "FINISHED")
    return run_id


HAS = Content(
    "FINISHED",
    frozenset({"param width", "tag seed", "dataset iris abc", "artifact plots/a.svg"}),
    {"loss": 2, "lr": 1},
)


def test_all_that_is_there_is_found(store: Store, experiment: str, tmp_path: Path) -> None:
    """So nothing lacks."""
    run_id = run(store, experiment, tmp_path)
    held = ask(store, [Question(run_id, experiment, None, HAS)])
    assert held == {run_id: Held(HAS, is_deleted=False)}
    assert not HAS.lacking_in(held[run_id].content)


def test_only_what_is_expected_is_looked_for(store: Store, experiment: str, tmp_path: Path) -> None:
    """What lacks is left out, and what nobody asked for, too."""
    run_id = run(store, experiment, tmp_path)
    expected = Content(
        "FAILED",
        frozenset({"param width", "param depth", "artifact plots/b.svg", "artifact a.svg", "dataset iris xyz"}),
        {"loss": 3, "val/loss": 1},
    )
    held = ask(store, [Question(run_id, experiment, None, expected)])[run_id].content
    assert held == Content("FINISHED", frozenset({"param width"}), {"loss": 2})
    lacking = expected.lacking_in(held)
    assert lacking.points == {"loss": 2, "val/loss": 0}


def test_runs_are_told_apart(store: Store, experiment: str, tmp_path: Path) -> None:
    """Those in MLflow's bin are known as such, those that it does not know are left out."""
    first, second = run(store, experiment, tmp_path), str(store.client.create_run(experiment).info.run_id)
    store.client.delete_run(first)
    unknown = "0" * 32
    held = ask(store, [Question(run_id, experiment, None, HAS) for run_id in (first, second, unknown)])
    assert held.keys() == {first, second}
    assert (held[first].is_deleted, held[second].is_deleted) == (True, False)
    assert held[second].content == Content("RUNNING", frozenset(), {})


def test_an_experiment_that_is_gone_for_good_hides_no_other(store: Store, experiment: str, tmp_path: Path) -> None:
    """Its runs are not known any more."""
    run_id = run(store, experiment, tmp_path)
    questions = [Question(run_id, experiment, None, HAS), Question("0" * 32, "987654", None, HAS)]
    assert ask(store, questions) == {run_id: Held(HAS)}


def test_a_logged_model_counts_when_it_is_ready(store: Store, experiment: str, project: Path, tmp_path: Path) -> None:
    """With its files; of a server from before logged models, among the artifacts."""
    run_id = str(store.client.create_run(experiment).info.run_id)
    model = store.client.create_logged_model(experiment, "model", source_run_id=run_id)
    expected = Content(None, frozenset({"model"}))

    def has_model(model_id: str | None) -> bool:
        return bool(ask(store, [Question(run_id, experiment, model_id, expected)])[run_id].content.items)

    assert not has_model(model.model_id)
    store.client.finalize_logged_model(model.model_id, "READY")
    assert not has_model(model.model_id)  # nothing of it is there
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "MLmodel").write_text("flavors: {}")
    store.client.log_model_artifacts(model.model_id, str(tmp_path / "saved"))
    assert has_model(model.model_id)
    assert not has_model("m-" + "0" * 32)
    assert not has_model(None)
    store.client.log_artifacts(run_id, str(tmp_path / "saved"), "model")
    assert has_model(None)


def test_points_are_known_by_step_and_time(store: Store, experiment: str, tmp_path: Path) -> None:
    """So that a sender leaves out those that are there."""
    run_id = run(store, experiment, tmp_path)
    assert present_points(store, run_id, ["loss", "val/loss"]) == {"loss": {(1, 10), (2, 20)}, "val/loss": set()}


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("/a/b", Path("/a/b")),
        ("file:///a/b%20c", Path("/a/b c")),
        ("file://localhost/a", Path("/a")),
        ("file://elsewhere/a", None),
        ("mlflow-artifacts:/a", None),
        ("s3://bucket/a", None),
        ("", None),
    ],
)
def test_artifacts_are_in_a_folder_of_this_machine_or_elsewhere(uri: str, folder: Path | None) -> None:
    """By their URI."""
    assert local_folder(uri) == folder
