"""Training in this process, without a record: a spec's text goes in, everything the loop told comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.loop import LAST, Loop, LoopObserver
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import Schedule, schedule


@dataclass
class Told(LoopObserver):
    """Everything a loop reported: series by key, {epoch: value}, and events."""

    series: dict[str, dict[int, float]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    stop_at: int | None = None
    step: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    def losses(self, first_epoch: int, values: Sequence[float]) -> None:
        self._take("train/loss", dict(enumerate(values, start=first_epoch)))

    def values(self, epoch: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._take(key, {epoch: value})

    def _take(self, key: str, points: dict[int, float]) -> None:
        known = self.series.setdefault(key, {})
        assert not known.keys() & points.keys(), f"{key} was told twice for an epoch"
        known.update(points)

    def progress(self, step: int, loss: float) -> None:
        self.step = step

    def stopped(self) -> bool:
        return self.stop_at is not None and self.step >= self.stop_at

    def event(self, message: str) -> None:
        self.said.append(message)

    def artifact(self, name: str, content: Any) -> None:
        self.kept[name] = content

    @property
    def history(self) -> Mapping[str, tuple[list[int], list[float]]]:
        return {key: (list(points), list(points.values())) for key, points in self.series.items()}


@dataclass
class Trained:
    """A run after its training: the plan, the live parts, the loop and what it told."""

    plan: Plan
    parts: Parts
    schedule: Schedule
    loop: Loop
    told: Told

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
            loop = Loop(plan, parts, gear, steps, Told(stop_at=stop_at), tmp_path, {})
            if resume:
                loop.load_state(load_checkpoint(tmp_path, LAST))
            loop.run()
        assert isinstance(loop.reporter, Told)
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
