"""A run in one line, out of its journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.errors import BadRunFolder
from annpipe.record.journal.events import RunBegun, RunResumed, TrialBegun, TrialEnded
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.summary import final_values, is_sweep, large_is_good, summarize, trials_of


def begun(folder: Path, **facts: object) -> Journal:
    """A run that has begun, in a folder of its own."""
    folder.mkdir()
    pen = Journal.create(folder)
    pen.write(RunBegun(id=folder.name, time=1000, **facts))  # type: ignore[arg-type]  # facts of the run
    return pen


def test_a_finished_run_has_its_final_loss(tmp_path: Path) -> None:
    """Whatever came before it; its name is that of the folder where it has none."""
    pen = begun(tmp_path / "a")
    pen.series("train/loss", 1, [3.0, 2.0], 1000, 2000)
    pen.metrics(0, {"final/train/loss": 1.5, "final/val/loss": 1.0, "best/val/loss": 0.5}, 2000)
    pen.end("FINISHED")
    assert summarize(tmp_path / "a").status == "RUNNING"
    pen.close()
    found = summarize(tmp_path / "a")
    assert (found.name, found.status, found.started_ms, found.train_loss) == ("a", "FINISHED", 1000, 1.5)
    assert not found.is_recorded
    assert final_values(tmp_path / "a") == {"train/loss": 1.5, "val/loss": 1.0}


def test_a_resumed_run_has_its_latest_loss(tmp_path: Path) -> None:
    """Its final one is still to come, and its journal tells when it was last written to."""
    pen = begun(tmp_path / "a", name="b")
    pen.metrics(0, {"final/train/loss": 1.5}, 2000)
    pen.end("KILLED")
    pen.write(RunResumed(time=3000, step=1))
    pen.series("train/loss", 1, [3.0, 2.0], 3000, 4000)
    pen.close()
    found = summarize(tmp_path / "a")
    assert (found.name, found.status, found.train_loss) == ("b", "KILLED", 2.0)
    assert found.duration_seconds == pytest.approx((tmp_path / "a/journal.jsonl").stat().st_mtime - 1, abs=0.01)


def test_trials_are_those_that_ended_and_are_there(tmp_path: Path) -> None:
    """A name that can be none is refused."""
    begun(tmp_path / "t1").close()
    pen = begun(tmp_path / "sweep", tags={"annpipe.sweep": "true"})
    for event in (TrialBegun(run="t1"), TrialEnded(run="t1"), TrialEnded(run="gone"), TrialBegun(run="t2")):
        pen.write(event)
    assert trials_of(tmp_path / "sweep") == [tmp_path / "t1"]
    assert (is_sweep(tmp_path / "sweep"), is_sweep(tmp_path / "t1")) == (True, False)
    pen.write(TrialEnded(run="../t1"))
    pen.close()
    with pytest.raises(BadRunFolder, match="not the id of one"):
        trials_of(tmp_path / "sweep")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"metric": "val/score", "goal": "maximize"}, True),
        ({"metric": "val/score", "goal": "minimize"}, False),
        ({"metric": "val/other", "goal": "maximize"}, None),
        ({"metric": "val/score"}, None),  # of an earlier version
    ],
)
def test_a_sweep_says_which_value_is_best(params: dict[str, str], expected: bool | None, tmp_path: Path) -> None:
    """A word such as `score` says it of no metric."""
    begun(tmp_path / "s", params=params).close()
    assert large_is_good(tmp_path / "s", "val/score") is expected
