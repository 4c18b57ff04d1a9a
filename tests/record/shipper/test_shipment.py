"""Shipping: what is in the journal is in MLflow, once, whatever happened on the way."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal.events import ArtifactKept, LengthChanged, ParamsSet, RunEnded, RunResumed, TagsSet
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.state import Shipped, is_recorded, sole_shipper, write_state
from annpipe.record.shipper.recorder import Recorder
from annpipe.record.store.keys import mlflow_key
from tests.record.shipper.shipping import client, history, shipped

# MLflow warns of its own use of pandas and SQLAlchemy.
pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000


def test_a_run_arrives_whole(project: Path, begin: Any) -> None:
    """Status, times, name, note, tags, 230 params, 10,000 points, the data and the figures."""
    run = begin(
        description="the *note*",
        expected_points=10_000,
        tags={"mlflow.user": "ann", "annpipe.seed": "0"},
        params={f"layer.{index}": str(index) for index in range(230)},
        dataset={
            "name": "formula",
            "digest": "ab" * 32,
            "source": "x**2",
            "source_type": "formula",
            "schema": "{}",
            "profile": '{"num_rows": 1000}',
            "context": "train",
        },
    )
    for look in range(20):
        values = [1 / (look * 500 + step + 1) for step in range(500)]
        run.journal.series("train/loss", look * 500 + 1, values, BEGAN + look * 1000, BEGAN + look * 1000 + 1000)
    figure = run.folder / "artifacts" / "plots" / "data.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text("<svg/>")
    run.journal.write(ArtifactKept(file="artifacts/plots/data.svg", to="plots"))
    run.journal.metrics(10_000, {"final/train/loss": 1e-4}, BEGAN + 20_000)
    state = shipped(run.end())
    assert (state.complete, state.problem, state.refused) == (True, None, ())
    found = client(project).get_run(state.run_id)
    assert (found.info.status, found.info.start_time, found.info.end_time) == ("FINISHED", BEGAN, BEGAN + 60_000)
    assert (found.info.run_name, found.info.user_id) == ("quadratic", "ann")
    assert found.info.experiment_id != "0"
    assert found.data.params == {f"layer.{index}": str(index) for index in range(230)}
    assert found.data.tags["mlflow.note.content"] == "the *note*"
    assert found.data.tags["annpipe.seed"] == "0"
    assert found.data.metrics["final.train.loss"] == 1e-4
    points = history(project, state.run_id, "train/loss")
    assert [(step, value) for step, value, _ in points] == [(step, 1 / step) for step in range(1, 10_001)]
    assert points[499][2] == BEGAN + 1000
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("formula", ("ab" * 32)[:36])
    assert data.dataset.profile == '{"num_rows": 1000}'
    assert [item.path for item in client(project).list_artifacts(state.run_id, "plots")] == ["plots/data.svg"]
    assert found.info.artifact_uri.startswith(str(project / "mlartifacts"))


def test_nan_and_infinity_arrive(project: Path, begin: Any) -> None:
    """MLflow's SQL store keeps nan as it is, and an infinity as the largest number there is."""
    run = begin()
    run.journal.series("train/loss", 1, [1.0, math.nan, math.inf, -math.inf], BEGAN, BEGAN + 4)
    state = shipped(run.end("FAILED"))
    values = [value for _, value, _ in history(project, state.run_id, "train/loss")]
    assert values[0] == 1.0
    assert math.isnan(values[1])
    assert values[2:] == [sys.float_info.max, -sys.float_info.max]
    assert client(project).get_run(state.run_id).info.status == "FAILED"


def test_a_long_series_is_thinned_with_all_of_it_as_an_artifact(project: Path, begin: Any) -> None:
    """25,000 points: at most 10,000 in the history, the rest in a table."""
    values = [abs(step - 12_345) + 1.0 for step in range(25_000)]
    values[777] = math.nan
    run = begin(expected_points=25_000)
    for first in range(0, 25_000, 2500):
        run.journal.series("train/loss", first, values[first : first + 2500], BEGAN, BEGAN + 2500)
    state = shipped(run.end())
    steps = [step for step, _, _ in history(project, state.run_id, "train/loss")]
    assert len(steps) == len(set(steps))
    assert 8_000 < len(steps) <= 10_000
    assert {0, 777, 12_345, 24_999} <= set(steps)
    table = client(project).download_artifacts(state.run_id, "history/train_loss.csv")
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(25_000))
    assert [row["value"] for row in rows] == [repr(value) for value in values]


@pytest.mark.slow
def test_shipping_again_after_a_crash_leaves_no_gap_and_no_duplicate(project: Path, begin: Any) -> None:
    """A shipper that dies before it notes its place sends some points twice; the store keeps them once."""
    run = begin(expected_points=4000, params={"a": "1"}, tags={"b": "2"})
    run.journal.series("train/loss", 1, [float(step) for step in range(1, 2001)], BEGAN, BEGAN + 2000)
    run.journal.series("train/loss", 2001, [math.nan, *range(2002, 4001)], BEGAN + 2000, BEGAN + 4000)
    folder = run.end()
    state = shipped(folder)
    once = history(project, state.run_id, "train/loss")
    for offset in (0, (folder / "journal.jsonl").read_bytes().index(b"\n") + 1):
        write_state(folder, Shipped(store=state.store, run_id=state.run_id if offset else None, offset=offset,
                                    experiment_id=state.experiment_id))  # fmt: skip
        assert shipped(folder).run_id == state.run_id
    again = history(project, state.run_id, "train/loss")
    assert len(once) == len(again) == 4000
    assert repr(once) == repr(again)
    assert len(client(project).search_runs([state.experiment_id])) == 1


def test_a_resumed_run_goes_on_in_the_same_mlflow_run(project: Path, begin: Any) -> None:
    """KILLED and shipped, then resumed to its end: one run, every point once."""
    run = begin(expected_points=30)
    run.journal.series("train/loss", 1, [1.0] * 10, BEGAN, BEGAN + 10)
    run.journal.close()
    first = shipped(run.folder)
    found = client(project).get_run(first.run_id)
    assert (found.info.status, found.info.end_time) == ("KILLED", BEGAN + 10)
    journal = Journal.reopen(run.folder)
    assert not is_recorded(run.folder) or first.complete
    journal.write(RunResumed(time=BEGAN + 100, step=5))
    journal.series("train/loss", 6, [1.0] * 25, BEGAN + 100, BEGAN + 125)
    journal.write(RunEnded(status="FINISHED", time=BEGAN + 130, error=None))
    journal.close()
    assert not is_recorded(run.folder)
    second = shipped(run.folder)
    assert second.run_id == first.run_id
    assert client(project).get_run(first.run_id).info.status == "FINISHED"
    assert [step for step, _, _ in history(project, first.run_id, "train/loss")] == list(range(1, 31))
    assert is_recorded(run.folder)


def test_a_run_that_is_trained_further_stays_one_run_with_its_new_end(project: Path, begin: Any) -> None:
    """FINISHED and shipped, then longer: every point once, the new length beside the params, the last final value."""
    run = begin(expected_points=10, params={"train.epochs": "10"})
    run.journal.series("train/loss", 1, [1.0] * 10, BEGAN, BEGAN + 10)
    run.journal.single_values({"final/train/loss": 1.0}, BEGAN + 10)
    first = shipped(run.end())
    journal = Journal.reopen(run.folder)
    journal.write(RunResumed(time=BEGAN + 100, step=10))
    journal.write(LengthChanged(time=BEGAN + 100, step=10, before=10, plan="ab", epochs=30))
    journal.write(TagsSet(tags={"annpipe.length": "30 epochs, 10 epochs before"}))
    journal.write(ParamsSet(params={"train.epochs.extended": "30"}))
    journal.series("train/loss", 11, [0.5] * 20, BEGAN + 100, BEGAN + 120)
    journal.single_values({"final/train/loss": 0.5}, BEGAN + 120)
    journal.write(RunEnded(status="FINISHED", time=BEGAN + 130, error=None))
    journal.close()
    assert not is_recorded(run.folder)
    second = shipped(run.folder)
    assert second.run_id == first.run_id
    assert second.complete
    found = client(project).get_run(first.run_id)
    assert found.data.params == {"train.epochs": "10", "train.epochs.extended": "30"}
    assert found.data.tags["annpipe.length"] == "30 epochs, 10 epochs before"
    assert found.data.metrics == {"train/loss": 0.5, "final.train.loss": 0.5}
    assert [step for step, _, _ in history(project, first.run_id, "train/loss")] == list(range(1, 31))


@pytest.mark.slow
def test_a_long_run_that_is_killed_and_resumed_keeps_the_budget(project: Path, begin: Any) -> None:
    """MLflow takes no point back, so the first part must leave room; no part is lost from the table."""
    run = begin(expected_points=20_000)
    run.journal.series("train/loss", 1, [1.0] * 6000, BEGAN, BEGAN + 6000)
    run.journal.close()
    first = shipped(run.folder)
    assert len(history(project, first.run_id, "train/loss")) == 6000
    journal = Journal.reopen(run.folder)
    journal.write(RunResumed(time=BEGAN + 7000, step=6000))
    journal.series("train/loss", 6001, [0.5] * 14_000, BEGAN + 7000, BEGAN + 21_000)
    journal.write(RunEnded(status="FINISHED", time=BEGAN + 21_000, error=None))
    journal.close()
    assert shipped(run.folder).complete
    steps = [step for step, _, _ in history(project, first.run_id, "train/loss")]
    assert len(steps) == len(set(steps)) <= 10_000
    assert steps[-1] == 20_000
    assert len(steps) > 8000


def test_a_poisoned_item_costs_only_itself(project: Path, begin: Any) -> None:
    """What the store refuses is noted and the record not complete; everything around it arrives."""
    run = begin(params={"good": "1", "bad\nname": "2", "fine": "3"}, tags={"ok": "yes", "not\nok": "no"})
    run.journal.metrics(1, {"val/loss": 1.0, "bad\nmetric": 2.0, "val/accuracy": 0.5}, BEGAN)
    run.journal.write(ArtifactKept(file="artifacts/lost.svg", to="plots"))
    run.journal.write(ParamsSet(params={"good": "changed"}))
    state = shipped(run.end())
    found = client(project).get_run(state.run_id)
    assert found.data.params == {"good": "1", mlflow_key("bad\nname"): "2", "fine": "3"}
    assert {found.data.tags["ok"], found.data.tags[mlflow_key("not\nok")]} == {"yes", "no"}
    assert found.data.metrics == {"val/loss": 1.0, mlflow_key("bad\nmetric"): 2.0, "val/accuracy": 0.5}
    assert found.info.status == "FINISHED"
    assert not state.complete
    assert sorted(item.partition(":")[0] for item in state.refused) == ["artifact plots/lost.svg", "param good"]
    assert "refused 2" in (state.problem or "")
    names = {mlflow_key(name): name for name in ("bad\nname", "not\nok", "bad\nmetric")}
    assert json.loads(found.data.tags["annpipe.names"])["keys"] == names
    told = json.loads(Path(client(project).download_artifacts(state.run_id, "names.json")).read_text())
    assert told == {"keys": names, "values": {}}
    (run.folder / "artifacts" / "lost.svg").write_text("found")
    assert [item.partition(":")[0] for item in shipped(run.folder).refused] == ["param good"]


def test_experiment_zero_is_never_used(project: Path, begin: Any) -> None:
    """A spec that says Default gets an experiment named after its run."""
    state = shipped(begin(experiment="Default").end())
    assert state.experiment_id not in {"0", None}
    assert client(project).get_experiment(state.experiment_id).name == "quadratic"


def test_a_deleted_experiment_comes_back(project: Path, begin: Any) -> None:
    """Its name is taken for good in MLflow, so it is restored."""
    first = shipped(begin().end())
    client(project).delete_experiment(first.experiment_id)
    second = shipped(begin().end())
    assert second.complete
    assert second.experiment_id == first.experiment_id


def test_two_shippers_exclude_each_other(begin: Any) -> None:
    """Only one process at a time ships a run."""
    folder = begin().folder
    with sole_shipper(folder) as one, sole_shipper(folder) as other:
        assert (one, other) == (True, False)
    with sole_shipper(folder) as again:
        assert again


@pytest.mark.slow
def test_two_runs_may_make_the_store_at_once(tmp_path: Path, begin: Any) -> None:
    """The tables are made once, by whoever comes first."""
    fresh = tmp_path / "fresh"
    uri = f"sqlite:///{fresh}/mlflow.db"
    folders = [begin(tracking_uri=uri, artifact_root=str(fresh / "mlartifacts")).end() for _ in range(2)]
    both = [Recorder.start_shipper() for _ in folders]
    for recorder, folder in zip(both, folders, strict=True):
        recorder.attach(folder)
    states = [recorder.finish(300) for recorder in both]
    assert [(state.complete, state.problem) for state in states] == [(True, None)] * 2
    assert len({state.run_id for state in states}) == 2
    assert len({state.experiment_id for state in states}) == 1
