"""The runs of trials: many in one transaction, and in MLflow the same as one after another."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import journal, location
from annpipe.record.journal.events import ArtifactKept, DatasetUsed, TrialEnded
from annpipe.record.journal.state import Shipped, is_recorded, read_state, write_state
from annpipe.record.shipper import follow
from annpipe.record.shipper import trials as trials_module
from annpipe.record.shipper.retry import TrainerPipe, call_once
from annpipe.record.shipper.trials import Trials
from annpipe.record.store.client import Store
from annpipe.record.store.new_database import copy_tables
from annpipe.record.store.transaction import Unfit, one_transaction

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000
N_TRIALS = 5
RECORDED = [True, True, True, False, True]  # one lacks a file


@pytest.fixture
def swept(begin: Any) -> Callable[[], tuple[Path, list[Path]]]:
    """A sweep that has ended, with trials of every kind: finished, failed, killed, and one with refused items."""

    def make() -> tuple[Path, list[Path]]:
        above = begin(tags={"annpipe.sweep": "true"}, params={"trials": str(N_TRIALS)})
        folders = []
        for number in range(N_TRIALS):
            trial = begin(
                parent=above.folder.name,
                description=f"trial {number}",
                tags={"mlflow.user": "ann", **{f"tag.{n}": str(n) for n in range(120)}},
                params={"lr": str(0.1 * number), **{f"option.{n}": str(n) for n in range(130)}},
            )
            (trial.folder / "plan.yaml").write_text(f"seed: {number}\n")
            trial.journal.write(ArtifactKept(file="plan.yaml", to=""))
            dataset = {"name": "formula", "digest": "ab" * 8, "source": "x**2", "context": "train"}
            trial.journal.write(DatasetUsed(dataset=dataset))
            values = [number + 1 / (step + 1) for step in range(700)] + [math.nan, math.inf]
            trial.journal.series("train/loss", 1, values, BEGAN, BEGAN + 702)
            trial.journal.metrics(702, {"val/loss": 0.5}, BEGAN + 702)
            if number == 3:
                trial.journal.write(ArtifactKept(file="lost.csv", to=""))  # it is not there
            if number == 1:
                trial.journal.close()  # nobody wrote its end
            else:
                trial.end("FAILED" if number == 2 else "FINISHED")
            folders.append(trial.folder)
            above.journal.write(TrialEnded(run=trial.folder.name, time=BEGAN + number))
        return above.end(), folders

    return make


def shipped(folder: Path) -> Shipped:
    with follow.logging_to(folder):
        return follow.ship(folder, follow.store_of(folder), TrainerPipe(None), 1.0)


def told(project: Path, above: Path, folders: list[Path]) -> list[Any]:
    """All that MLflow's client says of the trials; ids, which differ from record to record, by what they mean."""
    client = MlflowClient(location.embedded_uri(project))
    found = []
    for folder in folders:
        run = client.get_run(str(read_state(folder).run_id))
        tags = dict(run.data.tags)
        assert tags.pop("mlflow.parentRunId") == read_state(above).run_id
        assert tags.pop("annpipe.run_id") == folder.name
        assert tags.pop("mlflow.runName") == "quadratic"
        (data,) = run.inputs.dataset_inputs
        (kept,) = client.list_artifacts(run.info.run_id)
        text = Path(client.download_artifacts(run.info.run_id, kept.path)).read_text()
        points = {key: client.get_metric_history(run.info.run_id, key) for key in ("train/loss", "val/loss")}
        latest = {key: repr(value) for key, value in run.data.metrics.items()}
        series = {key: sorted((p.step, repr(p.value), p.timestamp) for p in some) for key, some in points.items()}
        state = read_state(folder)
        told_of_data = (data.dataset.name, data.dataset.digest, data.dataset.source, [t.value for t in data.tags])
        info = (run.info.status, run.info.start_time, run.info.end_time, run.info.user_id)
        refused = [item.partition(":")[0] for item in state.refused]
        what = [info, run.data.params, tags, series, told_of_data, latest, kept.path, text, state.complete, refused]
        found.append(what)
    return found


def no_transaction(store: Store) -> AbstractContextManager[None]:
    raise Unfit


@pytest.mark.slow
def test_together_they_are_what_they_are_one_by_one(project: Path, swept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, times, params, tags, points, data, artifacts and refusals, read by MLflow's client."""
    together, folders = swept()
    assert shipped(together).complete
    one_by_one, others = swept()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "all_at_once", no_transaction)
        assert shipped(one_by_one).complete
    found = told(project, together, folders)
    assert repr(found) == repr(told(project, one_by_one, others))
    assert [info[0] for info, *_ in found] == ["FINISHED", "KILLED", "FAILED", "FINISHED", "FINISHED"]
    assert [len(params) for _, params, *_ in found] == [131] * N_TRIALS
    assert [len(series["train/loss"]) for _, _, _, series, *_ in found] == [702] * N_TRIALS
    assert [refused for *_, refused in found] == [[], [], [], ["artifact lost.csv"], []]
    assert [complete for *_, complete, _ in found] == RECORDED


@pytest.mark.slow
def test_a_crash_after_the_transaction_leaves_no_double(project: Path, swept: Any) -> None:
    """The store has the runs, no state tells of them: the next shipper finds them by their tag."""
    above, folders = swept()
    first = shipped(above)
    ids = [read_state(folder).run_id for folder in folders]
    for folder in folders:
        (folder / "shipped.json").unlink()
    before = told_points(project, ids)
    write_state(above, Shipped(store=first.store, run_id=first.run_id, experiment_id=first.experiment_id))
    assert shipped(above).complete
    assert [read_state(folder).run_id for folder in folders] == ids
    assert told_points(project, ids) == before
    assert len(MlflowClient(first.store).search_runs([str(first.experiment_id)])) == N_TRIALS + 1


def told_points(project: Path, ids: list[str | None]) -> list[int]:
    client = MlflowClient(location.embedded_uri(project))
    return [len(client.get_metric_history(str(one), "train/loss")) for one in ids]


def test_a_crash_within_the_transaction_leaves_nothing(
    project: Path, swept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a run in the store nor a word in a state; what is tried again is whole."""
    above, folders = swept()
    with monkeypatch.context() as patch:

        def killed(store: Store, run_id: str, status: str, time_ms: int) -> None:
            if status == "FAILED":  # the third of five
                raise SystemExit

        patch.setattr(Store, "end", killed)
        with pytest.raises(SystemExit):
            shipped(above)
    state = read_state(above)
    client = MlflowClient(location.embedded_uri(project))
    assert [run.info.run_id for run in client.search_runs([str(state.experiment_id)])] == [state.run_id]
    assert [read_state(folder).run_id for folder in folders] == [None] * N_TRIALS
    assert shipped(above).complete
    assert [info[0] for info, *_ in told(project, above, folders)][2] == "FAILED"


def test_what_fails_together_is_tried_one_by_one(project: Path, swept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is no refusal undoes the transaction, and each trial goes by itself, with patience."""
    above, folders = swept()
    failures = iter([OSError("the disk was away for a moment")])
    log = Store.dataset

    def once(store: Store, run_id: str, found: dict[str, Any]) -> None:
        for error in failures:
            raise error
        log(store, run_id, found)

    monkeypatch.setattr(Store, "dataset", once)
    assert shipped(above).complete
    assert [is_recorded(folder) for folder in folders] == RECORDED
    assert "5 trials together: OSError: the disk was away" in (above / "shipper.log").read_text()
    assert len(told(project, above, folders)) == N_TRIALS


@dataclass
class Running:
    """Three trials that a test is training: `write` appends steps to each, `shipped` tells what the store has."""

    trials: list[Any]
    client: MlflowClient
    n_written: int = 0

    @property
    def folders(self) -> list[Path]:
        return [trial.folder for trial in self.trials]

    def write(self, n_steps: int) -> None:
        for trial in self.trials:
            trial.journal.series("train/loss", self.n_written + 1, [0.5] * n_steps, BEGAN, BEGAN + n_steps)
        self.n_written += n_steps

    def shipped(self) -> list[tuple[str, list[int]]]:
        found = []
        for folder in self.folders:
            run = str(read_state(folder).run_id)
            points = self.client.get_metric_history(run, "train/loss")
            found.append((self.client.get_run(run).info.status, sorted(point.step for point in points)))
        return found

    def expected(self, status: str) -> list[tuple[str, list[int]]]:
        return [(status, list(range(1, self.n_written + 1)))] * len(self.trials)


@pytest.fixture
def running(project: Path, begin: Any) -> Running:
    return Running([begin() for _ in range(3)], MlflowClient(location.embedded_uri(project)))


def trials_of(project: Path) -> Trials:
    return Trials(Store(location.embedded_uri(project)), call_once, TrainerPipe(None))


def test_points_come_while_trials_are_trained(project: Path, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pass by pass, each event read once, whoever else has shipped the run between; the last pass ends them."""
    trials = trials_of(project)
    n_read = 0
    lines = journal.lines

    def counted(file: Any) -> Iterator[Any]:
        nonlocal n_read
        for one in lines(file):
            n_read += 1
            yield one

    with monkeypatch.context() as patch:
        patch.setattr(journal, "lines", counted)
        for _ in range(3):
            running.write(40)
            trials(running.folders)
            assert running.shipped() == running.expected("RUNNING")
        trials(running.folders)
        assert n_read == 3 * (1 + 3)
    running.write(40)
    trials_of(project)(running.folders[:1])
    running.write(40)
    trials(running.folders)
    assert running.shipped() == running.expected("RUNNING")
    running.write(40)
    for trial in running.trials:
        trial.end()
    trials(running.folders)
    assert running.shipped() == running.expected("FINISHED")
    assert all(is_recorded(folder) for folder in running.folders)
    assert trials._open == {}


@pytest.mark.parametrize("error", [OSError("the disk was away"), SystemExit()], ids=["failed", "killed"])
def test_a_pass_that_breaks_off_loses_no_point(
    project: Path, running: Running, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """What a trial took in before the error is undone with it, and comes again: after a kill by the next shipper."""
    trials = trials_of(project)
    running.write(40)
    trials(running.folders)
    running.write(40)
    errors = iter([error])
    log = Store.log

    def failing(store: Store, run_id: str, items: Any) -> None:
        log(store, run_id, items)
        if run_id == read_state(running.folders[1]).run_id:
            for one in errors:
                raise one

    with monkeypatch.context() as patch:
        patch.setattr(Store, "log", failing)
        with pytest.raises(SystemExit) if isinstance(error, SystemExit) else nullcontext():
            trials(running.folders)
            assert running.shipped() == running.expected("RUNNING")
            running.write(40)
            trials(running.folders)
    if isinstance(error, SystemExit):
        assert [len(steps) for _, steps in running.shipped()] == [40, 40, 40]
        trials = trials_of(project)
        trials(running.folders)
    assert running.shipped() == running.expected("RUNNING")


def test_transactions_are_short(swept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else writes to the store has not to wait for a whole sweep."""
    above, folders = swept()
    sizes = []
    together = trials_module.Trials._shipped_together

    def noted(trials: trials_module.Trials, some: list[Path]) -> int:
        sizes.append(together(trials, some))
        return sizes[-1]

    monkeypatch.setattr(trials_module.Trials, "_shipped_together", noted)
    monkeypatch.setattr(trials_module, "TRIALS_AT_ONCE", 2)
    monkeypatch.setattr(trials_module, "BYTES_AT_ONCE", (folders[0] / "journal.jsonl").stat().st_size * 3)
    assert shipped(above).complete
    assert [size for size in sizes if size] == [2, 2, 1]
    assert [is_recorded(folder) for folder in folders] == RECORDED


def test_a_transaction_is_seen_by_others_when_it_is_complete(project: Path) -> None:
    """Reading goes on meanwhile; a store that is no SQLite file is left as it is."""
    client = MlflowClient(location.embedded_uri(project))
    experiment = client.create_experiment("other")
    database = sqlite3.connect(project / location.DATABASE, timeout=60)
    count = "select count(*) from runs"
    with one_transaction(client):
        run = client.create_run(experiment)
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
        for key in "abcdefghij":  # more than SQLite holds in memory by itself
            metrics = [Metric(key, float(step), BEGAN + step, step) for step in range(1000)]
            client.log_batch(run.info.run_id, metrics=metrics)
        assert database.execute(count).fetchone() == (0,)
    assert database.execute(count).fetchone() == (1,)
    database.close()
    client.set_terminated(run.info.run_id)
    with pytest.raises(Unfit), one_transaction(MlflowClient("http://127.0.0.1:9")):
        pass


@pytest.mark.slow
def test_copied_tables_are_those_that_mlflow_makes(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schema, revision and first rows; the second database of a machine is a copy, and none is overwritten."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setattr("annpipe.record.store.new_database.copy_tables", lambda database: None)
        assert Store(f"sqlite:///{tmp_path}/its/own.db").answers()
    for name in ("made.db", "copied.db"):
        assert Store(f"sqlite:///{tmp_path}/{name}").answers()
    (kept,) = (tmp_path / "cache" / "annpipe" / "tables").glob("*.db")
    assert _rows(kept, "experiments") == []
    own = _schema(tmp_path / "its" / "own.db")
    assert ("table", "runs") in {key[:2] for key in own}
    assert _schema(tmp_path / "made.db") == _schema(tmp_path / "copied.db") == own
    revision = _rows(tmp_path / "its" / "own.db", "alembic_version")
    assert _rows(tmp_path / "copied.db", "alembic_version") == revision != []
    assert [row[:2] for row in _rows(tmp_path / "copied.db", "experiments")] == [(0, "Default")]
    before = (tmp_path / "made.db").read_bytes()
    copy_tables(tmp_path / "made.db")
    assert (tmp_path / "made.db").read_bytes() == before


def test_without_a_cache_mlflow_makes_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that cannot be written to costs seconds, not the record."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    copy_tables(tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def _schema(database: Path) -> list[Any]:
    """Tables and indexes with their lines; MLflow's migrations leave constraints in an order that varies."""
    found = _rows(database, "(select type, name, tbl_name, sql from sqlite_master)")
    return [(*key, sorted(line.strip(" ,)\t") for line in (sql or "").splitlines())) for *key, sql in found]


def _rows(database: Path, table: str) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return sorted(connection.execute(f"select * from {table}").fetchall(), key=repr)
    finally:
        connection.close()
