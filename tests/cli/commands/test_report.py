"""`annpipe report`: of a run and of a sweep, into their folders or a file, for people and for programs."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from annpipe.record.journal import location
from annpipe.record.journal.state import read_state
from tests.conftest import Cli, CliHere, unrecorded

SPEC = """
version: 1
name: square
data: {formula: {rows: 40, inputs: {x: {Uniform: [-3, 3]}}, targets: {y: x**2}}, split: {val: 0.3}}
model: [Linear: 4, ReLU, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 3}
"""


@pytest.fixture
def nobody_ships() -> Iterator[None]:
    """No record is read here."""
    with unrecorded():
        yield


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A small spec in the project."""
    path = tmp_path / "square.yaml"
    path.write_text(SPEC, encoding="utf-8", newline="\n")
    return path


def test_a_run_has_a_report_that_is_made_again(
    spec: Path, annpipe_here: CliHere, nobody_ships: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are the run's own; --json has the measure of each predictor; --open opens the page."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    code, out, _ = annpipe_here("run", spec)
    assert code == 0
    assert "report.html" in out
    (folder,) = (spec.parent / "runs").iterdir()
    before = (folder / "report.html").stat().st_mtime_ns
    code, out, _ = annpipe_here("report", "square", "--json", "--open")
    assert code == 0
    result = json.loads(out)
    assert result["files"] == [str(folder / "report.html"), str(folder / "README.md")]
    assert [other["name"] for other in result["results"][0]["predictors"]][-1] == "gradient-boosted trees"
    assert (folder / "report.html").stat().st_mtime_ns > before
    assert [unquote(urlsplit(address).path) for address in opened] == [(folder / "report.html").as_posix()]


def test_a_report_is_written_elsewhere_once(spec: Path, annpipe_here: CliHere, nobody_ships: None) -> None:
    """A file that is there is replaced with --force alone, and the ending says which of the two files it is."""
    assert annpipe_here("run", spec)[0] == 0
    card = spec.parent / "card.md"
    assert annpipe_here("report", "--last", "-o", card)[0] == 0
    assert card.read_text(encoding="utf-8").startswith("# square")
    code, _, err = annpipe_here("report", "--last", "-o", card)
    assert (code, "--force" in err) == (2, True)
    assert annpipe_here("report", "--last", "-o", card, "--force")[0] == 0
    code, _, err = annpipe_here("report", "--last", "-o", spec.parent / "report.pdf")
    assert (code, ".html or .md" in err) == (2, True)


def test_a_sweep_has_a_report_of_its_trials(spec: Path, annpipe_here: CliHere, nobody_ships: None) -> None:
    """One for all: the best trial, a table, and none for each trial."""
    assert annpipe_here("sweep", spec, "--over", "optimizer.Adam.lr=1e-3,1e-1")[0] == 0
    folders = list((spec.parent / "runs").iterdir())
    (sweep,) = [folder for folder in folders if "sweep" in folder.name]
    assert [folder for folder in folders if (folder / "report.html").exists()] == [sweep]
    page = (sweep / "report.html").read_text(encoding="utf-8")
    assert "2 trials: 2 finished" in page
    assert "of the best trials" in page
    best = json.loads((sweep / "trials.json").read_text(encoding="utf-8"))
    runs = [row[best["columns"].index("run")] for row in best["data"]]
    values = [row[best["columns"].index("val/loss")] for row in best["data"]]
    card = (sweep / "README.md").read_text(encoding="utf-8")
    assert card.index(runs[values.index(min(values))]) < card.index(runs[values.index(max(values))])
    (sweep / "report.html").unlink()
    code, out, _ = annpipe_here("report", sweep.name)
    assert (code, "best val/loss" in out) == (0, True)
    assert (sweep / "report.html").is_file()


def test_a_run_that_is_not_there_is_a_clear_error(spec: Path, annpipe_here: CliHere) -> None:
    """As for all commands that take a run."""
    code, _, err = annpipe_here("report", "nobody")
    assert (code, "there are no runs" in err) == (2, True)


@pytest.mark.slow
def test_the_report_is_among_the_artifacts_of_the_record(spec: Path, annpipe: Cli, tmp_path: Path) -> None:
    """Page and model card of the run's end, and in their place those that were made again."""
    assert annpipe("run", spec).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert annpipe("report", "--last").returncode == 0
    uri = location.embedded_uri(tmp_path)
    run_id = read_state(folder, uri).run_id
    kept = {path.name: path for path in (tmp_path / "mlartifacts").rglob("*") if path.parent.parent.name == run_id}
    assert {"report.html", "README.md"} <= kept.keys()
    assert "gradient-boosted trees</td>" in kept["report.html"].read_text(encoding="utf-8")
