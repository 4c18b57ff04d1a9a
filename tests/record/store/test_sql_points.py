"""Points as rows: in MLflow the same as those that its client writes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from mlflow.entities import Metric
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import location
from annpipe.record.store import sql_points
from annpipe.record.store.client import Store
from annpipe.record.store.sql_points import write_points
from annpipe.record.store.transaction import one_transaction

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000


def metric(key: str, value: float, step: int, later_ms: int = 0) -> Metric:
    """A point of a series."""
    return Metric(key, value, BEGAN + step + later_ms, step)


# Repeated within a batch and between two, steps that go back, equal steps and times, and what is no number.
FIRST = [
    *(metric("train/loss", 1 / (step + 1), step) for step in range(50)),
    metric("train/loss", 0.5, 1),
    metric("back", 1.0, 9),
    metric("back", 2.0, 3),
    metric("tied", 0.0, 2),
    metric("tied", math.nan, 2),
    metric("tied/again", math.nan, 2),
    metric("tied/again", 0.0, 2),
    metric("lr.group 0", math.inf, 1),
    metric("later", 3.0, 4, later_ms=10),
    metric("zero", -0.0, 0),
]
SECOND = [
    *(metric("train/loss", 1 / (step + 1), step) for step in range(40, 60)),
    metric("back", 3.0, 8),
    metric("tied", -1.0, 2),
    metric("tied/again", 7.0, 2),
    metric("lr.group 0", -math.inf, 2),
    metric("later", 4.0, 4),
    metric("new", math.nan, 0),
]


def test_rows_are_what_the_client_writes(project: Path) -> None:
    """History and latest values, read by the client."""
    client = MlflowClient(location.embedded_uri(project))
    experiment = client.create_experiment("both")
    by_client, as_rows = (client.create_run(experiment).info.run_id for _ in range(2))
    for batch in (FIRST, SECOND):
        client.log_batch(by_client, metrics=batch)
        with one_transaction(client) as connection:
            assert write_points(connection, as_rows, batch)
    keys = {one.key for one in FIRST + SECOND}
    assert told(client, as_rows, keys) == told(client, by_client, keys)


def told(client: MlflowClient, run: str, keys: set[str]) -> list[object]:
    """The points of a run, and its latest values."""
    latest = {key: repr(value) for key, value in client.get_run(run).data.metrics.items()}
    series = [
        sorted((p.key, p.step, p.timestamp, repr(p.value)) for p in client.get_metric_history(run, key))
        for key in sorted(keys)
    ]
    return [latest, *series]


@pytest.mark.parametrize("key", ["bad\nkey", "../up", "a//b", "/root", "", ".", "é", "k" * 251])
def test_of_other_names_mlflow_is_asked(key: str) -> None:
    """Some of them it refuses, with words of its own."""
    assert not write_points(None, "run", [metric("good", 1.0, 1), metric(key, 1.0, 1)])


def test_a_deleted_run_is_refused_by_mlflow(project: Path) -> None:
    """Also where nothing but points is written."""
    store = Store(location.embedded_uri(project))
    run = store.client.create_run(store.client.create_experiment("gone")).info.run_id
    store.client.delete_run(run)
    with pytest.raises(Exception, match="must be in the 'active' state"), store.all_at_once():
        store.log(run, [metric("loss", 1.0, 1)])


def test_other_tables_than_those_known_are_left_to_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later MLflow may keep more of a point."""
    monkeypatch.setattr(sql_points, "COLUMNS", (*sql_points.COLUMNS, "unit"))
    sql_points._as_known.cache_clear()
    assert not write_points(None, "run", [metric("loss", 1.0, 1)])
    sql_points._as_known.cache_clear()
