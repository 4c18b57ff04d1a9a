"""Where plans differ: no deeper than they have the same structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annpipe.record.journal.comparison import Row, brief, compare, differences
from annpipe.record.journal.events import DatasetUsed, RunBegun
from annpipe.record.journal.journal import Journal


@pytest.mark.parametrize(
    ("plans", "rows"),
    [
        ([{"a": 1}, {"a": 1}], []),
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}], [("a.c", (2, 3))]),
        ([{"a": 1}, {"b": 1}], [("a", (1, None)), ("b", (None, 1))]),
        ([{"m": [{"L": {"n": 1}}, "T"]}, {"m": [{"L": {"n": 2}}, "T"]}], [("m.0.L.n", (1, 2))]),
        ([{"betas": [0.9, 0.99]}, {"betas": [0.9, 0.9]}], [("betas", ([0.9, 0.99], [0.9, 0.9]))]),
        (
            [{"o": {"SGD": {"lr": 1}}}, {"o": {"Adam": {"lr": 1}}}, {"o": {"SGD": {"lr": 2}}}],
            [("o", ({"SGD": {"lr": 1}}, {"Adam": {"lr": 1}}, {"SGD": {"lr": 2}})), ("o.SGD.lr", (1, None, 2))],
        ),
    ],
)
def test_differences_have_the_path_at_which_they_begin(plans: list[Any], rows: list[Any]) -> None:
    """Of components with different names the names are one, and the options of those that share a name more."""
    assert [(row.name, row.values) for row in differences(plans)] == rows


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


def test_a_value_is_told_in_few_letters() -> None:
    """Options that are off are not told."""
    assert brief({"Linear": {"bias": False, "n": 0.1234567}}) == "Linear {n: 0.123457}"
    assert brief(None) == "-"
    assert len(brief(list(range(1000)))) == 48
