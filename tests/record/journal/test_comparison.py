"""Runs side by side: what they were asked, what they found, and what to call them."""

from __future__ import annotations

from pathlib import Path

from annpipe.record.journal.comparison import compare
from annpipe.record.journal.differences import Row
from annpipe.record.journal.events import DatasetUsed, RunBegun
from annpipe.record.journal.journal import Journal


def test_runs_are_compared_by_plan_data_and_results(tmp_path: Path) -> None:
    """One that cannot be read is told and left out; names and figures are no difference."""
    for number in (1, 2):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        pen = Journal.create(folder)
        pen.write(RunBegun(id=folder.name, time=1000))
        pen.write(DatasetUsed(dataset={"digest": f"d{number}", "name": "csv", "context": "train"}))
        pen.metrics(0, {"final/val/loss": number / 2, "lr": 0.1}, 2000)
        pen.end("FINISHED")
        pen.close()
        (folder / "plan.yaml").write_text(f"name: run {number}\nseed: {number}\nplots: [data]\n")
    (tmp_path / "empty").mkdir()
    heard: list[str] = []
    found = compare([tmp_path / "run-1", tmp_path / "empty", tmp_path / "run-2"], heard.append)
    assert [run.id for run in found.runs] == ["run-1", "run-2"]
    assert found.asked == (Row("seed", (1, 2)), Row("digest of the data", ("d1", "d2")))
    assert found.results[0] == Row("final/val/loss", (0.5, 1.0))
    assert [row.name for row in found.results] == ["final/val/loss", "seconds"]
    assert len(heard) == 1
    assert "skipped runs/empty" in heard[0]


def test_runs_are_called_by_their_names_and_by_ids_where_two_share_one(tmp_path: Path) -> None:
    """A best trial tells its sweep, and a run that did not finish its status."""
    for number, name in enumerate(("mine", "mine", "other"), start=1):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        pen = Journal.create(folder)
        pen.write(RunBegun(id=folder.name, name=name, time=1000))
        if number != 2:
            pen.end("FINISHED")
        pen.close()
        (folder / "plan.yaml").write_text("seed: 0\n")
    folders = [tmp_path / f"run-{number}" for number in (1, 2, 3)]
    found = compare(folders, lambda _: None, best_of={folders[2]: "big sweep"})
    assert found.labels == ("mine (run-1)", "mine (run-2) (KILLED)", "best of big sweep: other")
