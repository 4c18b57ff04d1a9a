"""One transaction of many calls to MLflow: all of them are kept, or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import location
from annpipe.record.store.transaction import Unfit, one_transaction

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")


@pytest.fixture
def client(project: Path) -> MlflowClient:
    return MlflowClient(location.embedded_uri(project))


def runs(project: Path) -> int:
    """How many runs another process sees now."""
    with closing(sqlite3.connect(project / location.DATABASE)) as database:
        (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
    return int(count)


def test_nothing_is_seen_before_the_end(client: MlflowClient, project: Path) -> None:
    """By others; what is called within sees it at once."""
    experiment = client.create_experiment("a")
    with one_transaction(client) as connection:
        run = client.create_run(experiment).info.run_id
        client.log_metric(run, "loss", 0.5)
        assert client.get_run(run).data.metrics == {"loss": 0.5}
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 1
        assert runs(project) == 0
    assert runs(project) == 1
    assert client.get_run(run).data.metrics == {"loss": 0.5}


def fails_within(client: MlflowClient) -> None:
    with one_transaction(client):
        client.create_run("0")
        raise KeyboardInterrupt


def test_after_an_exception_nothing_is_kept(client: MlflowClient, project: Path) -> None:
    """Whatever it is; the client is usable as before."""
    with pytest.raises(KeyboardInterrupt):
        fails_within(client)
    assert runs(project) == 0
    client.create_run("0")
    assert runs(project) == 1


def test_a_call_that_fails_costs_itself_alone(client: MlflowClient, project: Path) -> None:
    """Its changes are taken back, those of the calls before and after it stay."""
    with one_transaction(client):
        run = client.create_run("0").info.run_id
        client.log_param(run, "a", "1")
        with pytest.raises(Exception, match="Changing param values is not allowed"):
            client.log_param(run, "a", "2")
        client.log_param(run, "b", "3")
    assert client.get_run(run).data.params == {"a": "1", "b": "3"}
    assert runs(project) == 1


def test_the_sessions_of_mlflow_are_put_back(client: MlflowClient) -> None:
    """Also after an exception."""
    store = client._tracking_client.store
    before = store.ManagedSessionMaker
    with one_transaction(client):
        assert store.ManagedSessionMaker is not before
    assert store.ManagedSessionMaker is before
    with pytest.raises(KeyboardInterrupt):
        fails_within(client)
    assert store.ManagedSessionMaker is before


@pytest.mark.parametrize("uri", [lambda path: "http://127.0.0.1:9", lambda path: "sqlite without sessions"])
def test_other_stores_cannot(uri: Callable[[Path], str], client: MlflowClient, tmp_path: Path) -> None:
    """A server, and a database of an MLflow that keeps its sessions elsewhere."""
    address = uri(tmp_path)
    if address.startswith("http"):
        client = MlflowClient(address)
    else:
        del client._tracking_client.store.ManagedSessionMaker
    with pytest.raises(Unfit), one_transaction(client):
        pass
