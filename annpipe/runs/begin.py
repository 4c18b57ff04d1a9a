"""Opens runs: `begin` opens the journal of a new one, `reopen` that of an interrupted one at its last checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annpipe.backend.weights import keep_weights
from annpipe.errors import RunError
from annpipe.observer import Observer
from annpipe.plan.params import run_params
from annpipe.plan.plan import Plan
from annpipe.record.journal import journal as journals
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.journal import Journal, now_ms
from annpipe.record.journal.location import scrub
from annpipe.record.journal.seal import seal
from annpipe.record.journal.source import environment_text, source_tags, spec_copy
from annpipe.runs.further import Further, schedule_tags
from annpipe.runs.note import run_note
from annpipe.runs.provenance import begun_from_tags, plan_tags
from annpipe.runs.reporter import ShouldStop
from annpipe.runs.run import Run
from annpipe.runs.signals import StopSignal
from annpipe.runs.trainer import SoloTrainer, Trainer
from annpipe.train.loop.checkpoint import load_latest
from annpipe.train.loop.loop import LAST


@dataclass(frozen=True)
class TrialOf:
    """What a trial has of its sweep: the sweep's folder, its own name, the tags of the source, the varied paths.

    The sweep may stop it by `should_stop`, or by `stop_signal`, which the members of a stack share.
    """

    sweep: str
    name: str
    source: Mapping[str, str]
    should_stop: ShouldStop | None = None
    stop_signal: StopSignal = field(default_factory=StopSignal)
    varied: tuple[str, ...] = ()


def begin(
    plan: Plan,
    folder: Path,
    observer: Observer,
    *,
    tracking_uri: str,
    artifact_root: str | None,
    trainer: Trainer | None = None,
    trial: TrialOf | None = None,
) -> Run:
    """Opens the journal of a new run in `folder` and writes down all that is known before it starts.

    Raises RunError where the folder cannot be written.
    """
    with _removed_on_failure(folder):
        journal = Journal.create(folder, observer)
        if trial is None:
            run = Run(plan, folder, journal, observer, trainer or SoloTrainer())
        else:
            run = Run(
                plan,
                folder,
                journal,
                observer,
                trainer or SoloTrainer(),
                is_trial=True,
                should_stop=trial.should_stop,
                stop_signal=trial.stop_signal,
            )
        _write_begin(journal, plan, folder, tracking_uri, artifact_root, trial)
        if plan.weights is not None:
            keep_weights(plan.weights, folder)
        run.keep_artifact("plan.yaml", plan.to_yaml())
        seal(folder)
        if trial is None:  # else its sweep has the spec and the environment
            # a tracking URI in the spec may hold a password: artifacts are for others to read
            run.keep_artifact("spec.yaml", spec_copy(Path(plan.file), plan.tracking.uri))
            run.keep_artifact("environment.txt", environment_text())
        return run


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    """Removes the folder where a run cannot begin in it, for want of room or of rights."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RunError(
            f"no run can begin in {folder.parent} ({error.strerror}): make room, or run it elsewhere"
        ) from error


def _write_begin(
    journal: Journal, plan: Plan, folder: Path, tracking_uri: str, artifact_root: str | None, trial: TrialOf | None
) -> None:
    tags = dict(trial.source if trial else source_tags(Path(plan.file)))
    tags |= plan_tags(plan) | schedule_tags(plan) | begun_from_tags(plan, folder)
    tags |= {k: str(v) for k, v in plan.head.tags.items()}
    journal.write(
        RunBegun(
            id=folder.name,
            name=trial.name if trial else plan.head.name,
            experiment=plan.tracking.experiment or plan.head.name,
            tracking_uri=scrub(tracking_uri),
            artifact_root=artifact_root,
            time=now_ms(),
            description=plan.head.description if trial else run_note(plan),
            expected_points=plan.train.epochs or plan.train.steps,  # with steps no more than these
            tags=tags,
            params=run_params(plan, trial.varied if trial else ()),
            parent=trial.sweep if trial else None,
        )
    )


def latest_checkpoint(folder: Path, observer: Observer) -> dict[str, Any]:
    """The state that a run is resumed from; raises RunError when there is none."""
    return load_latest(folder, LAST, observer)


def reopen(
    plan: Plan,
    folder: Path,
    observer: Observer,
    checkpoint: Mapping[str, Any] | None = None,
    further: Further | None = None,
) -> Run:
    """Opens an interrupted run at its last checkpoint, to go on to another length where that is `further`.

    Raises RunError when it has none or is still running.
    """
    checkpoint = checkpoint or latest_checkpoint(folder, observer)
    trainer = SoloTrainer(threads=int(checkpoint["facts"]["threads"]))
    if damaged := journals.damaged_lines(folder):
        observer.event(f"warning: {journals.damage_text(damaged)}")
    try:
        return Run(plan, folder, Journal.reopen(folder, observer), observer, trainer, checkpoint, further=further)
    except OSError as error:
        raise RunError(
            f"the journal of {folder.name} cannot be written ({error.strerror}): it stays as it is"
        ) from error
