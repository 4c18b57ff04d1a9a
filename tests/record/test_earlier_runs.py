"""Run folders that an earlier version wrote: today's code believes, resumes, asks, measures and ships them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking.client import MlflowClient

from annpipe.record.journal import journal
from annpipe.record.journal.location import DATABASE, embedded_uri
from annpipe.record.journal.project import find_run, run_folders
from annpipe.record.journal.seal import MODEL, PLAN, is_own, state_folder
from annpipe.record.journal.state import is_recorded, read_state
from annpipe.record.journal.summary import final_values, summarize
from tests.conftest import CliHere, unrecorded

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

EARLIER = Path(__file__).parent / "earlier_runs"
EXPECTED: dict[str, Any] = json.loads((EARLIER / "expected.json").read_text(encoding="utf-8"))
RUNS = ("plain", "heads", "interrupted")


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the earlier project, with the key of the user who made its runs and a store that knows none of them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable in ("MLFLOW_TRACKING_URI", "ANNPIPE_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "runs").mkdir()
    for path in EARLIER.iterdir():
        if path.is_dir():
            shutil.copytree(path, tmp_path / "runs" / path.name)
        else:
            shutil.copy(path, tmp_path)
    state_folder().mkdir(parents=True)
    (tmp_path / "key").rename(state_folder() / "key")
    shutil.copy(empty_store, tmp_path / DATABASE)
    return tmp_path


@pytest.fixture
def typed(project: Path, annpipe_here: CliHere) -> CliHere:
    """`annpipe …` typed in that project, whose runs nobody ships meanwhile."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        with unrecorded():
            return annpipe_here(*words)

    return call


def test_they_are_known_as_the_runs_of_their_user(project: Path) -> None:
    """Their seals fit though the project has moved; without the key they are a stranger's."""
    assert len(run_folders(project)) == len(RUNS)
    assert all(is_own(find_run(project, name), PLAN) for name in RUNS)
    assert all(is_own(find_run(project, name), MODEL) for name in ("plain", "heads"))
    (state_folder() / "key").unlink()
    assert not any(is_own(find_run(project, name), PLAN) for name in RUNS)


def test_their_journals_tell_how_they_went(project: Path) -> None:
    """Status, loss and points, from lines that an earlier version wrote."""
    assert [summarize(find_run(project, name)).status for name in RUNS] == ["FINISHED", "FINISHED", "KILLED"]
    assert summarize(find_run(project, "plain")).train_loss == 0.09531751275062561
    assert final_values(find_run(project, "plain"))["val/r2_score"] == 0.9706114151928569
    for name in RUNS:
        assert journal.damaged_lines(find_run(project, name)) == ()


@pytest.mark.parametrize("name", ["plain", "heads"])
def test_their_models_predict_as_before(name: str, typed: CliHere) -> None:
    """The same columns, and the same numbers to what another processor may change."""
    code, printed, said = typed("predict", name, "shops.csv")
    assert code == 0, said
    found, expected = (list(csv.reader(lines)) for lines in (io.StringIO(printed), EXPECTED["predict"][name]))
    assert found[0] == expected[0]
    assert len(found) == len(expected)
    for row, other in zip(found[1:], expected[1:], strict=True):
        assert list(map(number, row)) == [is_close_to(number(cell)) for cell in other]


@pytest.mark.parametrize("name", ["plain", "heads"])
def test_they_are_evaluated_as_before(name: str, project: Path, typed: CliHere) -> None:
    """The journal goes on behind its last line of then."""
    code, printed, said = typed("evaluate", name, "shops.csv", "--json")
    assert code == 0, said
    assert json.loads(printed)["values"] == pytest.approx(EXPECTED["evaluate"][name], rel=1e-4)
    told = {key for event in journal.read(find_run(project, name)) for key, *_ in journal.points(event)}
    assert "evaluated/shops/loss" in told


def test_an_interrupted_one_goes_on_as_if_it_had_not_been(project: Path, typed: CliHere) -> None:
    """From its checkpoint and its journal: every step once, and the end of the run that nobody interrupted."""
    code, printed, said = typed("resume", "interrupted", "--json")
    assert code == 0, said
    assert "warning" not in said
    assert json.loads(printed)["values"] == pytest.approx(EXPECTED["uninterrupted"], rel=1e-2)
    folder = find_run(project, "interrupted")
    steps = [step for event in journal.read(folder) for key, step, *_ in journal.points(event) if key == "train/loss"]
    assert steps == list(range(1, 201))
    assert is_own(folder, MODEL)


def test_their_records_are_made_anew_where_the_store_lacks_them(project: Path, annpipe_here: CliHere) -> None:
    """`annpipe sync` ships all of each, models as well, and then finds nothing to do."""
    code, _, said = annpipe_here("sync")
    assert code == 0, said
    uri = embedded_uri(project)
    client = MlflowClient(tracking_uri=uri)
    for name in RUNS:
        folder = find_run(project, name)
        assert is_recorded(folder, uri)
        run = client.get_run(str(read_state(folder, uri).run_id))
        assert run.info.status == journal.status(folder)
        losses = client.get_metric_history(run.info.run_id, "train/loss")
        points = [point for event in journal.read(folder) for point in journal.points(event)]
        assert [loss.value for loss in losses] == [value for key, _, value, _ in points if key == "train/loss"]
    assert annpipe_here("sync")[1].count("complete already") == len(RUNS)


def number(cell: str) -> float | str:
    """A cell as a number, or as the word that it is."""
    try:
        return float(cell)
    except ValueError:
        return cell


def is_close_to(cell: float | str) -> Any:
    """What equals a cell up to what another processor may change; a word equals itself."""
    return cell if isinstance(cell, str) else pytest.approx(cell, rel=1e-4, nan_ok=True)
