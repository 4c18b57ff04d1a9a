"""The display of a sweep on stderr: a line for each trial that has ended."""

from __future__ import annotations

from typing import Any

import pytest

from annpipe.cli.views.sweep_display import SweepDisplay
from annpipe.errors import Place, Problem
from annpipe.sweep.results.table import Result

VALUES = {"optimizer.Adam.lr": 0.001, "model.1": "ReLU"}
FINALS = {"val/loss": 0.123456789, "train/loss": 0.5, "val/accuracy": 0.9}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "trial 3/8  lr 0.001, model.1 ReLU  train/loss 0.5  val/loss 0.123457"),
        ({"is_new": False}, "trial 3/8  lr 0.001, model.1 ReLU  train/loss 0.5  val/loss 0.123457  (made before)"),
        ({"status": "FAILED"}, "trial 3/8  lr 0.001, model.1 ReLU  FAILED"),
        ({"status": "PRUNED", "finals": {}}, "trial 3/8  lr 0.001, model.1 ReLU  PRUNED"),
        ({"finals": {"a\nloss": 1.0}}, r"trial 3/8  lr 0.001, model.1 ReLU  a\nloss 1"),
    ],
)
def test_a_trial_is_a_line(changes: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its values by short names, and its losses in order; of one that did not finish the status."""
    facts: dict[str, Any] = {"number": 2, "values": VALUES, "run": None, "status": "FINISHED", "finals": FINALS}
    SweepDisplay().trial(Result(**{**facts, **changes}), 3, 8)
    assert capsys.readouterr() == ("", f"{line}\n")


def test_events_and_warnings_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """An event in one line, a warning at its place."""
    SweepDisplay().event("two\nlines")
    assert capsys.readouterr() == ("", "two\\nlines\n")
    SweepDisplay().warn(Problem("a-code", "is odd", Place("spec.yaml", 3, 1), "mend it"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "is odd" in printed.err
    assert "spec.yaml:3" in printed.err
