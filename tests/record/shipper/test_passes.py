"""When trials are shipped: what has ended at once, what is being trained every few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from annpipe.errors import BadRunFolder
from annpipe.record.journal.events import TrialBegun, TrialEnded
from annpipe.record.shipper import passes
from annpipe.record.shipper.passes import TrialPasses, no_trials


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by the test."""
    now = [100.0]
    monkeypatch.setattr(passes.time, "monotonic", lambda: now[0])
    return now


def test_a_trial_waits_when_it_begins_when_it_is_due_and_when_it_ends(tmp_path: Path, clock: list[float]) -> None:
    """One that was shipped already is only known; at the end all wait once more."""
    shipped: list[list[str]] = []

    def ship(folders: Sequence[Path]) -> None:
        shipped.append([folder.name for folder in folders])
        clock[0] += 1.0

    trials = TrialPasses(tmp_path / "sweep", ship)
    trials.take(TrialBegun(run="old"), is_new=False)
    trials.take(TrialEnded(run="old"), is_new=False)
    assert not trials.wait
    trials.take(TrialBegun(run="new"), is_new=True)
    assert trials.wait
    trials.go()
    trials.call_if_due()
    assert not trials.wait, "a pass that took a second is not followed by another for ten"
    clock[0] += 10.0
    trials.call_if_due()
    trials.go()
    trials.take(TrialEnded(run="new"), is_new=True)
    trials.go()
    clock[0] += 100.0
    trials.call_if_due()
    assert not trials.wait
    trials.call_all()
    trials.go()
    assert shipped == [["new"], ["new"], ["new"], ["old", "new"]]


def test_a_name_that_can_be_no_trial_is_refused(tmp_path: Path) -> None:
    """And a run without trials has none to ship."""
    with pytest.raises(BadRunFolder):
        TrialPasses(tmp_path / "sweep", no_trials).take(TrialEnded(run="../x"), is_new=True)
    TrialPasses(tmp_path / "run", no_trials).go()
