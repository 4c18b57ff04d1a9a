"""Training in this process, without a record: a spec's text goes in, everything the loop told comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.device import computing
from annpipe.draft.draft import draft
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.runs.begin import begin, reopen
from annpipe.runs.run import Outcome
from annpipe.spec import load_spec
from annpipe.testing.components.training import LoopReports
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.loop import LAST, Loop
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import Schedule, schedule


@dataclass
class Trained:
    """A run after its training: the plan, the live parts, the loop and what it told."""

    plan: Plan
    parts: Parts
    schedule: Schedule
    loop: Loop
    told: LoopReports

    @property
    def losses(self) -> list[float]:
        return list(self.told.series["train/loss"].values())

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [parameter.detach() for parameter in self.parts.model.parameters()]


Planned = Callable[..., Plan]
Fit = Callable[..., Trained]


def planner(tmp_path: Path, registry_entries: Registry) -> Planned:
    """The plan of a spec's text; keyword arguments are files written beside the spec."""

    def planned(text: str, *overrides: str, **files: str) -> Plan:
        for name, content in files.items():
            (tmp_path / f"{name}.py").write_text(content, encoding="utf-8")
        spec = tmp_path / "spec.yaml"
        spec.write_text(text, encoding="utf-8")
        loaded = load_spec(spec, overrides)
        return resolve(draft(loaded, registry_entries.copy(), project=tmp_path))

    return planned


def trainer(tmp_path: Path, planned: Planned) -> Fit:
    """Trains a spec's text; `stop_at` asks the loop to stop at a step, `resume` goes on from the last checkpoint."""

    def fit(text: str, *overrides: str, stop_at: int | None = None, resume: bool = False, **files: str) -> Trained:
        plan = planned(text, *overrides, **files)
        with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
            parts = build(plan, torch.device("cpu"), dtype)
            steps = schedule(plan, len(parts.rows["train"]))
            gear: Any = Eager(plan, parts, steps)
            loop = Loop(plan, parts, gear, steps, LoopReports(stop_at=stop_at), tmp_path, {})
            if resume:
                loop.load_state(load_checkpoint(tmp_path, LAST))
            loop.run()
        assert isinstance(loop.reporter, LoopReports)
        return Trained(plan, parts, steps, loop, loop.reporter)

    return fit


class KeepingObserver(Observer):
    """Keeps the events that it is told of."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, message: str) -> None:
        self.events.append(message)


@dataclass
class Gone:
    """A run that was journaled but not shipped: its folder, how it ended, and what it said."""

    folder: Path
    outcome: Outcome
    said: list[str]


Go = Callable[..., Gone]


def runner(tmp_path: Path, planned: Planned) -> Go:
    """Runs a spec's text with its journal, figures and model, but without a shipper; `resume` names a run's folder."""

    def go(text: str, *overrides: str, resume: Path | None = None, **files: str) -> Gone:
        plan, observer = planned(text, *overrides, **files), KeepingObserver()
        if resume is None:
            folder = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
            folder.mkdir()
            run = begin(plan, folder, observer, tracking_uri="sqlite:////nowhere/mlflow.db", artifact_root=None)
        else:
            run = reopen(plan, resume, observer)
        return Gone(run.folder, run.go(), observer.events)

    return go
