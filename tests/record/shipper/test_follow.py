"""Shipping one run: which store it goes to, what is logged, and what is done for a run that is gone."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import ViewType

from annpipe.errors import BadRunFolder, StoreError
from annpipe.record.journal import location
from annpipe.record.journal.events import RunEnded
from annpipe.record.journal.journal import FILE, Journal
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.seal import seal_store
from annpipe.record.journal.state import Shipped, read_state, write_state
from annpipe.record.shipper import follow
from annpipe.record.shipper.retry import TrainerPipe
from tests.record.shipper.shipping import client, history, shipped

# MLflow warns of its own use of pandas and SQLAlchemy.
pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

BEGAN = 1_700_000_000_000


def test_a_run_deleted_in_mlflow_is_not_brought_back(project: Path, begin: Any) -> None:
    """Somebody put it into the bin: the shipper says so and leaves it there."""
    run = begin()
    run.journal.close()
    first = shipped(run.folder)
    client(project).delete_run(first.run_id)
    journal = Journal.reopen(run.folder)
    journal.write(RunEnded(status="FINISHED", time=BEGAN, error=None))
    journal.close()
    state = shipped(run.folder)
    assert not state.complete
    assert "was deleted" in (state.problem or "")
    found = client(project).search_runs([first.experiment_id], run_view_type=ViewType.ALL)
    assert [run.info.lifecycle_stage for run in found] == ["deleted"]


def test_a_store_that_lost_the_run_gets_it_anew(project: Path, begin: Any, empty_store: Path) -> None:
    """The database was deleted: the journal has everything."""
    run = begin()
    run.journal.series("train/loss", 1, [1.0, 2.0], BEGAN, BEGAN + 2)
    folder = run.end()
    first = shipped(folder)
    shutil.copy(empty_store, project / location.DATABASE)
    second = shipped(folder)
    assert second.complete
    assert second.run_id != first.run_id
    assert len(history(project, second.run_id, "train/loss")) == 2


def test_a_password_reaches_no_file(begin: Any) -> None:
    """Not the state, not the log; the store itself gets it."""
    folder = begin(tracking_uri="http://***@127.0.0.1:9").end()
    uri = "http://ann:s3cret@127.0.0.1:9"
    with follow.logging_to(folder):
        state = follow.ship(folder, uri, TrainerPipe(None), 0.1)
    assert not state.complete
    assert "refused" in (state.problem or "")
    assert read_state(folder, uri).store == "http://***@127.0.0.1:9"
    for path in folder.rglob("*"):
        assert not path.is_file() or "s3cret" not in path.read_text()


def test_the_store_of_a_run_has_its_password_back(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal holds the address without it; the environment that names the same store holds it."""
    folder = begin(tracking_uri="http://***@host:5000").end()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:x@other:5000")
    assert follow.store_of(folder) == "http://***@host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:x@host:5000/")
    assert follow.store_of(folder) == "http://ann:x@host:5000/"
    assert follow.store_of(folder, "sqlite:////x.db") == "sqlite:////x.db"
    with pytest.raises(StoreError, match="names no store"):
        follow.store_of(begin(tracking_uri="").end())


def test_a_store_is_taken_from_the_first_that_names_one(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag, the environment, what holds the run already, its journal."""
    folder = begin(tracking_uri="http://journal:1").end()
    assert follow.store_of(folder) == "http://journal:1"
    seal_store(folder, "http://state:1")
    write_state(folder, Shipped(store="http://state:1", run_id="1"))
    assert follow.store_of(folder) == "http://state:1"
    monkeypatch.setenv("ANNPIPE_TRACKING_URI", "http://environment:1")
    assert follow.store_of(folder) == "http://environment:1"
    assert follow.store_of(folder, "http://flag:1") == "http://flag:1"


def test_a_run_without_a_store_says_so(begin: Any) -> None:
    """With the flag that gives one."""
    with pytest.raises(StoreError, match="names no store; give one with --tracking-uri"):
        follow.store_of(begin(tracking_uri="").end())


def test_a_store_that_nobody_chose_is_not_used(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal knows the store of the journal and those that were named later; the environment names one, too."""
    folder = begin(tracking_uri="http://journal:1").end()
    write_state(folder, Shipped(store="http://***@stranger:1", run_id="1"))
    with pytest.raises(StoreError, match="nothing shows that you chose it"):
        follow.store_of(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:word@stranger:1")
    assert follow.store_of(folder) == "http://ann:word@stranger:1"


def test_a_store_without_its_credentials_is_not_called(begin: Any) -> None:
    """The state says how to give them."""
    folder = begin(tracking_uri="http://***@127.0.0.1:9").end()
    state = follow.ship(folder, "http://***@127.0.0.1:9", TrainerPipe(None), 0.1)
    assert not state.complete
    assert "needs its credentials" in str(state.problem)
    assert "--tracking-uri" in str(state.problem)


def test_a_folder_with_a_link_out_of_it_is_not_touched(begin: Any, tmp_path: Path) -> None:
    """Neither a log nor a state is written."""
    folder = begin().end()
    (folder / "secrets").symlink_to(tmp_path)
    before = sorted(os.listdir(folder))
    with pytest.raises(BadRunFolder):
        follow.ship(folder, "sqlite:////nowhere/mlflow.db", TrainerPipe(None), 0.1)
    assert sorted(os.listdir(folder)) == before


def test_a_journal_is_waited_for_as_long_as_the_trainer_lives(project: Path, begin: Any) -> None:
    """Half a line is none."""
    whole = begin().end()
    assert follow.wait_for_journal(whole, TrainerPipe(None))
    line = (whole / FILE).read_bytes().partition(b"\n")[0]
    folder = new_run_folder(project, "quadratic")
    assert not follow.wait_for_journal(folder, TrainerPipe(None))
    (folder / FILE).write_bytes(line)
    assert not follow.wait_for_journal(folder, TrainerPipe(None))
    reading, writing = os.pipe()
    pipe = TrainerPipe(reading)
    try:
        os.close(writing)  # the trainer is gone
        assert not follow.wait_for_journal(folder, pipe)
        assert pipe.gone
    finally:
        os.close(reading)


def test_what_is_logged_goes_to_the_run_without_passwords(tmp_path: Path) -> None:
    """Warnings and tracebacks, too; afterwards everything is as it was."""
    root = logging.getLogger()
    before = [*root.handlers]
    with follow.logging_to(tmp_path), warnings.catch_warnings(action="always"):
        logging.getLogger("mlflow.store").info("connecting to http://ann:canary@host:5000/")
        warnings.warn("http://ann:canary@host:5000/ is old", UserWarning, stacklevel=1)
        try:
            raise ValueError("http://ann:canary@host:5000/ failed")
        except ValueError:
            logging.getLogger("annpipe.record").exception("shipping stopped")
    assert root.handlers == before
    text = (tmp_path / follow.LOG).read_text(encoding="utf-8")
    assert "canary" not in text
    assert text.count("http://***@host:5000/") >= 3
    assert "INFO mlflow.store: connecting to" in text
    with pytest.raises(UserWarning):
        warnings.warn("an error as before", UserWarning, stacklevel=1)


def test_a_run_that_goes_on_is_not_finished(project: Path, begin: Any) -> None:
    """Its trainer holds the journal: the record stays open, and the next shipper ends it."""
    run = begin()
    run.journal.series("train/loss", 1, [0.5, 0.25], 1, 2)
    state = shipped(run.folder)
    assert not state.complete
    assert client(project).get_run(state.run_id).info.status == "RUNNING"
    run.journal.write(RunEnded(status="KILLED", time=3, error=None))
    run.journal.close()
    ended = shipped(run.folder)
    assert (ended.complete, ended.run_id) == (True, state.run_id)
    assert client(project).get_run(state.run_id).info.status == "KILLED"
    assert read_state(run.folder) == ended
