"""Opening runs: what the journal of a new one says first, what lies beside it, and where an interrupted one goes on."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from annpipe.errors import RunError
from annpipe.observer import SILENT
from annpipe.plan.params import run_params
from annpipe.plan.plan import Plan
from annpipe.record.journal import journal
from annpipe.record.journal.events import ArtifactKept, RunBegun
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.seal import read_seal
from annpipe.runs import begin as begin_module
from annpipe.runs.begin import TrialOf, begin, reopen
from annpipe.runs.note import run_note
from annpipe.runs.run import Run
from annpipe.runs.trainer import SoloTrainer
from annpipe.train.loop.checkpoint import save_checkpoint
from annpipe.train.loop.loop import LAST
from tests.train.gears.stacks import SPEC
from tests.training import KeepingObserver, Planned

STORE = "https://ann:hunter2@host/mlflow"
SPEC_WITH_STORE = (
    SPEC
    + f"""
description: Two numbers
tags: {{kind: 3}}
tracking: {{uri: "{STORE}", experiment: numbers}}
"""
)


def begun(plan: Plan, folder: Path, **how: Any) -> tuple[Run, RunBegun, list[str]]:
    """A run that is begun, its first event, and the artifacts of its journal."""
    folder.mkdir()
    run = begin(plan, folder, SILENT, tracking_uri=STORE, artifact_root="/artifacts", **how)
    run.journal.close()
    first, *others = journal.read(folder)
    assert isinstance(first, RunBegun)
    return run, first, [event.file for event in others if isinstance(event, ArtifactKept) and event.file]


def test_the_first_event_says_what_the_run_is(planned: Planned, tmp_path: Path) -> None:
    """Its names, its tags as texts, and its store without the password."""
    plan = planned(SPEC_WITH_STORE)
    run, first, artifacts = begun(plan, tmp_path / "one")
    assert (first.id, first.name, first.experiment, first.parent) == ("one", "stacked", "numbers", None)
    assert (first.description, first.artifact_root, first.expected_points) == (run_note(plan), "/artifacts", 50)
    assert run_note(plan).startswith("Two numbers\n\n")
    assert first.tags["kind"] == "3"
    assert first.tags["mlflow.source.name"] == str(tmp_path / "spec.yaml")
    assert first.params == run_params(plan)
    assert first.tracking_uri is not None
    assert first.tracking_uri.endswith("host/mlflow")
    assert artifacts == ["plan.yaml", "spec.yaml", "environment.txt"]
    assert (run.checkpoint, run.is_trial, run.trainer) == (None, False, SoloTrainer())
    for file in (tmp_path / "one").rglob("*"):
        assert "hunter2" not in file.read_text()


def test_what_lies_beside_the_journal(planned: Planned, tmp_path: Path) -> None:
    """The plan, the spec that it is of, the packages, and a seal of all that."""
    plan = planned(SPEC)
    begun(plan, tmp_path / "one")
    assert (tmp_path / "one" / "plan.yaml").read_text() == plan.to_yaml()
    assert (tmp_path / "one" / "spec.yaml").read_text() == SPEC
    assert "\ntorch==" in (tmp_path / "one" / "environment.txt").read_text()
    seal = read_seal(tmp_path / "one")
    assert seal is not None
    assert "plan.yaml" in seal.files


@pytest.mark.parametrize(
    ("overrides", "points"), [(["train.epochs=7"], 7), (["train.epochs=null", "train.steps=90"], 90)]
)
def test_the_points_of_a_series_are_announced(
    overrides: list[str], points: int, planned: Planned, tmp_path: Path
) -> None:
    """As many as epochs; where the length is in steps, no more than these."""
    assert begun(planned(SPEC, *overrides), tmp_path / "one")[1].expected_points == points


def test_a_trial_has_its_sweep_s_source(planned: Planned, tmp_path: Path) -> None:
    """Its parent is the sweep, which has spec and environment; the sweep may stop it."""

    def should_stop(key: str, epoch: int, value: float) -> bool:
        return False

    trial = TrialOf("sweep-1", "stacked-3", {"mlflow.user": "ann"}, should_stop)  # type: ignore[arg-type]  # any does
    run, first, artifacts = begun(planned(SPEC), tmp_path / "one", trial=trial)
    assert (first.parent, first.name, first.experiment) == ("sweep-1", "stacked-3", "stacked")
    assert first.tags["mlflow.user"] == "ann"
    assert "mlflow.source.name" not in first.tags
    assert artifacts == ["plan.yaml"]
    assert (run.is_trial, run.should_stop) == (True, should_stop)
    assert run.stop_signal is trial.stop_signal


def test_a_run_that_cannot_begin_leaves_no_folder(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where there is no room."""

    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(begin_module, "seal", full)
    with pytest.raises(RunError) as refused:
        begun(planned(SPEC), tmp_path / "one")
    assert str(refused.value) == (
        f"no run can begin in {tmp_path} (No space left on device): make room, or run it elsewhere"
    )
    assert not (tmp_path / "one").exists()


def checkpointed(plan: Plan, folder: Path) -> None:
    """A run that stopped after its fifth step, with 3 threads."""
    begun(plan, folder)
    save_checkpoint(folder, LAST, {"facts": {"threads": 3}, "step": 5})


def test_an_interrupted_run_goes_on_from_its_checkpoint(planned: Planned, tmp_path: Path) -> None:
    """With the threads of before, which decide the order of sums, and in the same journal."""
    plan, observer = planned(SPEC), KeepingObserver()
    checkpointed(plan, tmp_path / "one")
    run = reopen(plan, tmp_path / "one", observer)
    run.journal.close()
    assert run.checkpoint is not None
    assert run.checkpoint["step"] == 5
    assert run.trainer == SoloTrainer(threads=3)
    assert len([event for event in journal.read(tmp_path / "one") if isinstance(event, RunBegun)]) == 1
    assert observer.events == []


def test_damage_of_a_journal_is_told(planned: Planned, tmp_path: Path) -> None:
    """The run goes on all the same."""
    plan, observer = planned(SPEC), KeepingObserver()
    checkpointed(plan, tmp_path / "one")
    file = tmp_path / "one" / journal.FILE
    file.write_bytes(file.read_bytes().replace(b"environment.txt", b"environment.tyt", 1))
    reopen(plan, tmp_path / "one", observer).journal.close()
    (message,) = observer.events
    assert message.startswith("warning: ")
    assert "of its journal is" in message


def test_a_run_without_a_checkpoint_is_not_opened(planned: Planned, tmp_path: Path) -> None:
    """There is nothing to go on from."""
    plan = planned(SPEC)
    begun(plan, tmp_path / "one")
    with pytest.raises(RunError, match="there is no checkpoint 'last'"):
        reopen(plan, tmp_path / "one", SILENT)


def test_a_journal_that_cannot_be_written_stays_as_it_is(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said in words, not as the system's error."""
    plan = planned(SPEC)
    checkpointed(plan, tmp_path / "one")

    def refuse(folder: Path, observer: object) -> Journal:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Journal, "reopen", refuse)
    with pytest.raises(RunError, match=r"the journal of one cannot be written \(Permission denied\): it stays"):
        reopen(plan, tmp_path / "one", SILENT)
