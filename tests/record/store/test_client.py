"""The client of a store: experiments, runs, datasets, artifacts and their ends, in a real SQLite database."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal import location
from annpipe.record.journal.events import RunBegun
from annpipe.record.store.client import MAX_SCHEMA, RUN_ID_TAG, Store
from annpipe.record.store.faults import ItemRefused, RunDeleted, RunGone
from annpipe.record.store.items import Metric, Param, RunTag
from annpipe.record.store.keys import MAX_EXPERIMENT_NAME, MAX_RUN_NAME

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")


@pytest.fixture
def store(project: Path) -> Store:
    return Store(location.embedded_uri(project))


def begun(**changes: Any) -> RunBegun:
    facts: dict[str, Any] = {
        "id": "a-1",
        "name": "a",
        "experiment": "a",
        "tracking_uri": "",
        "artifact_root": None,
        "time": 1_700_000_000_000,
        "description": None,
        "expected_points": 1,
        "tags": {},
        "params": {},
        "dataset": None,
    }
    return RunBegun(**{**facts, **changes})


def test_an_experiment_is_made_once(store: Store) -> None:
    """With a tag that makes MLflow show the pages of training runs; its name is cut to what MLflow takes."""
    made = store.experiment("a", None)
    assert store.experiment("a", None) == made
    assert Store(store.uri).experiment("a", None) == made
    assert store.client.get_experiment(made).tags == {"mlflow.experimentKind": "custom_model_development"}
    long = store.client.get_experiment(store.experiment("b" * 2000, None)).name
    assert len(long) <= MAX_EXPERIMENT_NAME


def test_a_deleted_experiment_is_brought_back(store: Store) -> None:
    """Its name cannot be taken again."""
    made = store.experiment("a", None)
    store.client.delete_experiment(made)
    assert Store(store.uri).experiment("a", None) == made
    assert store.client.get_experiment(made).lifecycle_stage == "active"


@pytest.mark.parametrize("at_once", [False, True])
def test_a_run_is_found_by_the_id_of_its_journal(at_once: bool, store: Store) -> None:
    """One that is in MLflow's bin is not; its parent, time and user go with it, no other tag."""
    experiment = store.experiment("a", None)
    above = store.run(experiment, begun(id="above"))
    tags = {"mlflow.user": "ann", "annpipe.seed": "0"}

    def made() -> str:
        if not at_once:
            return store.run(experiment, begun(tags=tags), above)
        with store.all_at_once():
            return store.run(experiment, begun(tags=tags), above)

    first = made()
    assert made() == first
    run = store.client.get_run(first)
    assert run.info.start_time == 1_700_000_000_000
    known = {key: value for key, value in run.data.tags.items() if key != "mlflow.runName"}
    assert known == {RUN_ID_TAG: "a-1", "mlflow.user": "ann", "mlflow.parentRunId": above}
    store.client.delete_run(first)
    assert made() != first


def test_a_long_name_of_a_run_is_cut(store: Store) -> None:
    """MLflow refuses longer ones."""
    run = store.client.get_run(store.run(store.experiment("a", None), begun(name="n" * 2000)))
    assert 100 < len(run.info.run_name) <= MAX_RUN_NAME


def test_a_run_that_was_made_twice_is_kept_once(store: Store) -> None:
    """The one with points; an empty twin goes into the bin, one that has ended is somebody's own."""
    experiment = store.experiment("a", None)
    twins = [store.client.create_run(experiment, tags={RUN_ID_TAG: "a-1"}).info.run_id for _ in range(3)]
    store.client.log_metric(twins[1], "loss", 0.5)
    store.client.set_terminated(twins[2], "FINISHED")
    assert store.run(experiment, begun()) == twins[1]
    stages = [store.client.get_run(run).info.lifecycle_stage for run in twins]
    assert stages == ["deleted", "active", "active"]


def test_a_run_that_cannot_be_written_to_is_told(store: Store) -> None:
    """Deleted, gone for good, or another journal's."""
    experiment = store.experiment("a", None)
    run = store.run(experiment, begun())
    store.check(run)
    store.check(run, "a-1")
    with pytest.raises(RunGone, match=r"is that of a-1"):
        store.check(run, "b-1")
    foreign = store.client.create_run(experiment).info.run_id
    with pytest.raises(RunGone, match="nothing that annpipe shipped"):
        store.check(foreign, "a-1")
    store.client.delete_run(run)
    with pytest.raises(RunDeleted, match="restore it in MLflow's UI"):
        store.check(run, "a-1")
    with pytest.raises(RunGone, match="is gone"):
        store.check("0" * 32)


@pytest.mark.parametrize("at_once", [False, True])
def test_items_are_logged_together(at_once: bool, store: Store) -> None:
    """The same in a transaction as outside of one; a second time nothing is doubled."""
    run = store.run(store.experiment("a", None), begun())
    items = [Metric("loss", 0.5, 10, 1), Param("width", "3"), RunTag("seed", "0"), Metric("loss", 0.25, 20, 2)]
    for _ in range(2):
        if at_once:
            with store.all_at_once():
                store.log(run, items)
        else:
            store.log(run, items)
    data = store.client.get_run(run).data
    assert (data.params, data.tags["seed"]) == ({"width": "3"}, "0")
    assert [(point.step, point.value) for point in store.client.get_metric_history(run, "loss")] == [
        (1, 0.5),
        (2, 0.25),
    ]


def test_an_item_that_mlflow_does_not_take_is_refused(store: Store) -> None:
    """For good: it need not be tried again."""
    run = store.run(store.experiment("a", None), begun())
    with pytest.raises(ItemRefused):
        store.log(run, [Param("bad\nname", "1")])
    store.log(run, [Param("a", "1")])
    with pytest.raises(ItemRefused):
        store.log(run, [Param("a", "2")])


def test_a_dataset_is_cut_to_what_mlflow_takes(store: Store) -> None:
    """A schema that is too long is left out: half of one could not be read."""
    run = store.run(store.experiment("a", None), begun())
    facts = {"name": "n" * 600, "digest": "d" * 40, "schema": "s" * (MAX_SCHEMA + 1), "profile": "{}", "source": "x"}
    store.dataset(run, facts)
    (used,) = store.client.get_run(run).inputs.dataset_inputs
    assert used.dataset.digest == "d" * 36
    assert 100 < len(used.dataset.name) <= 500
    assert (used.dataset.source_type, used.dataset.source, used.dataset.profile) == ("local", "x", "{}")
    assert not used.dataset.schema
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]


def test_artifacts_go_under_the_name_that_is_wanted(store: Store, project: Path, tmp_path: Path) -> None:
    """A file or a folder; one that is not there is refused."""
    experiment = store.experiment("a", (project / "artifacts").as_uri())
    run = store.run(experiment, begun())
    file, folder = tmp_path / "own name.txt", tmp_path / "folder"
    file.write_text("text")
    folder.mkdir()
    (folder / "inner.txt").write_text("inner")
    store.artifact(run, file, "tables/other.txt")
    store.artifact(run, file, "own name.txt")
    store.artifact(run, folder, "kept")
    root = project / "artifacts" / run / "artifacts"
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*.txt")) == [
        "kept/inner.txt",
        "own name.txt",
        "tables/other.txt",
    ]
    assert (root / "tables" / "other.txt").read_text() == "text"
    with pytest.raises(ItemRefused, match="is not there"):
        store.artifact(run, tmp_path / "gone.txt", "gone.txt")


def test_a_run_ends_and_goes_on(store: Store) -> None:
    """With its status and the time of its end."""
    run = store.run(store.experiment("a", None), begun())
    store.end(run, "KILLED", 1_700_000_000_500)
    info = store.client.get_run(run).info
    assert (info.status, info.end_time) == ("KILLED", 1_700_000_000_500)
    store.reopen(run)
    assert store.client.get_run(run).info.status == "RUNNING"


def test_what_is_called_at_once_is_kept_whole_or_not_at_all(store: Store) -> None:
    """An experiment that was made within is not remembered when it is not kept."""

    def fails() -> None:
        with store.all_at_once():
            store.run(store.experiment("a", None), begun())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert store.client.get_experiment_by_name("a") is None
    assert store.client.get_experiment(store.experiment("a", None)).name == "a"


def test_another_database_at_the_same_path_is_opened_anew(store: Store, project: Path, empty_store: Path) -> None:
    """The old one was moved away: what is written goes to the new one."""
    store.experiment("a", None)
    database = project / location.DATABASE
    database.rename(project / "old.db")
    shutil.copy(empty_store, database)
    assert store.client.get_experiment_by_name("a") is None


def test_a_store_answers_or_not(store: Store) -> None:
    """One of a kind that MLflow does not know gives no answer."""
    assert store.answers()
    assert store.database is not None
    assert not Store("nosuch://host/a").answers()
