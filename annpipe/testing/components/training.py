"""Trains a plan in this process, without a record: what the loop reports is kept, and it may stop and go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.device import computing
from annpipe.plan.plan import Plan
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.evaluate import higher_is_better
from annpipe.train.loop.loop import LAST, Loop, LoopObserver
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import Schedule, schedule


@dataclass
class LoopReports(LoopObserver):
    """Everything a loop reported: series by key, {epoch: value}, events, and artifacts by name."""

    series: dict[str, dict[int, float]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
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
        assert not known.keys() & points.keys(), f"{key} was reported twice for an epoch"
        known.update(points)

    def progress(self, step: int, loss: float) -> None:
        self.step = step

    def stopped(self) -> bool:
        return self.stop_at is not None and self.step >= self.stop_at

    def event(self, message: str) -> None:
        self.messages.append(message)

    def artifact(self, name: str, content: Any) -> None:
        self.kept[name] = content

    @property
    def history(self) -> Mapping[str, tuple[list[int], list[float]]]:
        return {key: (list(points), list(points.values())) for key, points in self.series.items()}


@dataclass
class TrainedPlan:
    """A run after its training: the plan, the live parts, the loop and what it reported."""

    plan: Plan
    parts: Parts
    schedule: Schedule
    loop: Loop
    reports: LoopReports


def train_plan(
    plan: Plan, folder: Path, *, stop_at: int | None = None, resume: bool = False, device: str = "cpu"
) -> TrainedPlan:
    """Trains a plan with the eager gear; `stop_at` stops it soon after a step, with a checkpoint in `folder`.

    With `resume` it goes on from that checkpoint.
    """
    with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
        parts = build(plan, torch.device(device), dtype)
        steps = schedule(plan, len(parts.rows["train"]))
        reports = LoopReports(stop_at=stop_at)
        large = higher_is_better(plan, parts)
        gear: Any = Eager(plan, parts, steps)
        loop = Loop(plan, parts, gear, steps, reports, folder, {}, higher_is_better=large)
        if resume:
            loop.load_state(load_checkpoint(folder, LAST))
        loop.run()
    return TrainedPlan(plan, parts, steps, loop, reports)
