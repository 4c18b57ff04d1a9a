"""`annpipe.load`: a finished run as an object, whose answers are those of `annpipe predict`."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch

import annpipe
from annpipe.errors import DataError, NotFound, NotTrusted
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.state import Shipped, write_state
from annpipe.runs import notebook
from annpipe.runs.finished import Finished
from annpipe.runs.metrics import values_table
from tests.conftest import CliHere, unrecorded

SPEC = """
version: 1
name: islands <b>
device: {type: cpu, threads: 1, precision: float64}
data:
  csv: {files: islands.csv, target: [kind, mass]}
  transforms: {number: [{impute: median}, standardize], category: one_hot, mass: standardize}
  split: {val: 0.25}
model:
  layers: [Linear: 6, Tanh]
  outputs:
    kind: {layers: [Linear: 2], loss: CrossEntropyLoss, metrics: [Accuracy]}
    mass: {layers: [Linear: 1], loss: MSELoss}
optimizer: {Adam: {lr: 0.05}}
train: {epochs: 4}
plots: [learning_curve]
tracking: {wait_seconds: 0}
"""


def islands(rows: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": random.normal(50, 9, rows), "island": random.choice(["Dream", "Biscoe"], rows)})
    frame["kind"] = np.where(frame["size"] > 50, "large", "small")
    frame["mass"] = 100 * frame["size"] + random.normal(0, 5, rows)
    frame.loc[frame.index % 11 == 0, "size"] = np.nan
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("islands")


@pytest.fixture(scope="module")
def ran(folder: Path) -> Iterator[Finished]:
    """What `annpipe.run` gives."""
    islands(60).to_csv(folder / "islands.csv", index=False)
    (folder / "islands.yaml").write_text(SPEC, encoding="utf-8", newline="\n")
    with pytest.MonkeyPatch.context() as patch, unrecorded():
        patch.chdir(folder)
        yield annpipe.run("islands.yaml")


@pytest.fixture
def loaded(ran: Finished, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.chdir(folder)
    return annpipe.load("last")


def test_a_run_is_found_by_each_of_its_names(ran: Finished, loaded: Finished) -> None:
    """Its folder from anywhere, its id, the start of it, its name, `last`, the id of its MLflow run."""
    write_state(ran.folder, Shipped(store="sqlite:///nowhere.db", run_id="0123456789abcdef"))
    for name in (ran.folder, str(ran.folder), ran.folder.name, ran.folder.name[:-2], "islands-b", "0123456789abcdef"):
        assert annpipe.load(name).folder == ran.folder
    assert type(loaded) is type(ran)
    assert (loaded.folder, loaded.status, loaded.name) == (ran.folder, "FINISHED", "islands <b>")
    assert loaded.values == {key: value for key, value in ran.values.items() if key != "lr"}
    assert annpipe.load("last").record.run_id == "0123456789abcdef"
    with pytest.raises(NotFound, match="did you mean 'islands-b'"):
        annpipe.load("ilands-b")


def test_answers_are_those_of_the_command(
    loaded: Finished, folder: Path, annpipe_here: CliHere, tmp_path: Path
) -> None:
    """Of 10,000 rows with missing values and an unknown word: by frame, mapping and array, to 1e-6."""
    rows = islands(10_000, seed=1).drop(columns=["kind", "mass"])
    rows.loc[5, "island"] = "Torgersen"
    rows.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "runs").symlink_to(folder / "runs")
    assert annpipe_here("predict", "--last", "rows.csv", "-o", "answers.csv")[0] == 0
    expected = pd.read_csv(tmp_path / "answers.csv")
    frame = loaded.predict(rows.set_index(rows.index + 7)[["island", "size"]])
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index[:2]) == [7, 8]
    by_name = loaded.predict({"island": list(rows.island), "size": rows["size"].to_numpy()})
    by_position = loaded.predict(rows[["size", "island"]].to_numpy())
    for answers in (frame.reset_index(drop=True), by_name, by_position):
        pd.testing.assert_frame_equal(answers, expected, rtol=1e-6, atol=1e-6, check_dtype=False)
    assert loaded.predict({"size": 50.0, "island": "Dream"}).shape == (1, 4)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"size": [1.0]}, "must have the column 'island'"),
        ({"size": [1.0, 2.0], "island": ["Dream"]}, "2 in 'size' and 1 in 'island'"),
        ({"size": ["tall"], "island": ["Dream"]}, "is not a number"),
        ({"size": [], "island": []}, "has no rows"),
        (np.ones((3, 3)), "the array has 3 columns, and the model takes 2"),
    ],
)
def test_rows_that_do_not_fit_are_refused(loaded: Finished, rows: Any, said: str) -> None:
    """With the column and the row."""
    with pytest.raises(DataError, match=said):
        loaded.predict(rows)


def test_the_object_has_what_the_run_was(ran: Finished, loaded: Finished) -> None:
    """A plain module, the same plan, the spec's own text, and the journal's values by epoch."""
    assert isinstance(loaded.model, torch.nn.Module)
    assert not loaded.model.training
    assert loaded.plan.digest == ran.plan.digest
    assert loaded.spec == SPEC
    history = loaded.metrics.history
    assert list(history.index) == [1, 2, 3, 4]
    assert history["train/loss"].iloc[-1] == loaded.metrics.final["train/loss"] == ran.values["train/loss"]
    assert loaded.metrics.best["val/loss"] == history["val/loss"].min()
    assert list(loaded.figures) == ["learning_curve"]
    assert loaded.figures.get("learning_curf") is None
    with pytest.raises(KeyError, match="did you mean 'learning_curve'"):
        loaded.figures["learning_curf"]


def test_a_notebook_shows_values_and_figures_escaped(loaded: Finished) -> None:
    """Figures are images, in which an SVG runs no script."""
    page = loaded._repr_html_()
    assert "islands &lt;b&gt;" in page
    assert "<b>islands &lt;b&gt;</b>" in page
    assert "train/loss" in page
    assert page.count('src="data:image/svg+xml;base64,') == 1
    assert "<svg" not in page
    assert "<script>" not in values_table({"<script>": 1.0})


def test_rows_in_memory_are_measured_as_those_of_a_file(loaded: Finished, annpipe_here: CliHere, folder: Path) -> None:
    """The run's own rows: both give the same values, in the record under their names."""
    rows = islands(60)
    with unrecorded():
        evaluated = loaded.evaluate(rows, "own")
        from_file = loaded.evaluate(folder / "islands.csv")
    assert evaluated.values == pytest.approx(from_file.values, rel=1e-9)
    metrics = annpipe.load(loaded.folder).metrics
    assert metrics.evaluated["own/loss"] == pytest.approx(metrics.evaluated["islands/loss"])
    assert "own/loss" not in metrics.history
    rows.loc[3, "kind"] = None
    with pytest.raises(DataError, match="row 4 of the column 'kind' is missing"):
        loaded.evaluate(rows)


def test_a_run_from_elsewhere_runs_no_code_until_it_is_trusted(
    loaded: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither its model nor its plan; its values can be read."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    stranger = annpipe.load(loaded.folder)
    assert stranger.metrics.final
    with pytest.raises(NotTrusted):
        stranger.predict({"size": 50.0, "island": "Dream"})
    with pytest.raises(NotTrusted):
        _ = stranger.plan
    assert len(annpipe.load(loaded.folder, trust=True).predict({"size": 50.0, "island": "Dream"})) == 1


def test_a_run_that_failed_says_why_and_has_no_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values can be read, its page has the error, and the command that goes on is named."""
    monkeypatch.chdir(tmp_path)
    islands(20).to_csv("islands.csv", index=False)
    Path("islands.yaml").write_text(SPEC, encoding="utf-8", newline="\n")
    with unrecorded():
        failed = annpipe.run("islands.yaml", overrides=["optimizer.Adam.lr=1e300"])
    assert (failed.status, annpipe.load("last").status) == ("FAILED", "FAILED")
    assert "NonFinite" in failed._repr_html_()
    for run in (failed, annpipe.load("last")):
        with pytest.raises(NotFound, match=r"has no model.*annpipe resume"):
            run.predict({"size": 50.0, "island": "Dream"})


def test_a_sweep_names_the_run_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no model of its own."""
    from annpipe.record.journal.events import RunBegun

    monkeypatch.chdir(tmp_path)
    sweep = tmp_path / "runs" / "all-20260101-120000-abcd"
    sweep.mkdir(parents=True)
    journal = Journal.create(sweep)
    journal.write(RunBegun(id=sweep.name, name="all sweep", time=1, tags={"annpipe.sweep": "true"}))
    journal.close()
    with pytest.raises(NotFound, match=r"is a sweep.*none of its trials finished"):
        annpipe.load("all")


def test_a_notebook_has_one_output_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many steps are told; what messages hold is escaped. Without a kernel nothing is shown."""
    shown: list[dict[str, str]] = []
    updated: list[dict[str, str]] = []

    def display(data: dict[str, str], **options: Any) -> Any:
        shown.append(data)
        return SimpleNamespace(update=lambda data, raw: updated.append(data))

    assert notebook.default_observer() is annpipe.observer.SILENT
    page = SimpleNamespace(display=display, get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", page)
    monkeypatch.setitem(sys.modules, "IPython.display", page)
    observer = notebook.default_observer()
    observer.start(10_000, 10, 0)
    for step in range(1, 10_001):
        observer.progress(step, 0.5)
    observer.event("warning: <script>")
    assert len(shown) == 1
    assert len(updated) < 20
    assert "epoch 1000/1000" in updated[-1]["text/plain"]
    assert html.escape("<script>") in updated[-1]["text/html"]
    assert "<script>" not in updated[-1]["text/html"]
