"""Trainers: where the parts, the schedule and the gear of a run come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from annpipe.backend.device import measured_threads
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.train.gears.base import Gear
from annpipe.train.gears.compiled.gearbox import OnShift
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.shifting import gear_for
from annpipe.train.parts import Parts, build, trial_copy
from annpipe.train.schedule import Schedule, schedule


@dataclass(frozen=True)
class TrainerParts:
    """The parts of a run, their schedule, the gear that takes the steps, and the number of threads that it uses."""

    parts: Parts
    schedule: Schedule
    gear: Gear
    threads: int


class Trainer(Protocol):
    """Prepares the training of one run; `gear_name` is the tag `annpipe.gear` that its record begins with."""

    gear_name: ClassVar[str]

    def prepare(
        self, plan: Plan, device: torch.device, dtype: torch.dtype, observer: Observer, on_shift: OnShift
    ) -> TrainerParts:
        """Parts and gear of the plan; sets torch's number of threads."""


@dataclass(frozen=True)
class SoloTrainer:
    """Builds the parts of a run that trains by itself. `threads` overrides those of the plan."""

    gear_name: ClassVar[str] = "eager"
    threads: int | None = None

    def prepare(
        self, plan: Plan, device: torch.device, dtype: torch.dtype, observer: Observer, on_shift: OnShift
    ) -> TrainerParts:
        parts = build(plan, device, dtype, observer)
        steps = schedule(plan, len(parts.rows["train"]))
        threads = self._set_threads(plan, parts, steps, device)
        return TrainerParts(parts, steps, gear_for(plan, parts, steps, on_shift), threads)

    def _set_threads(self, plan: Plan, parts: Parts, steps: Schedule, device: torch.device) -> int:
        """The number of threads: as asked for, or measured on copies of the parts that are thrown away."""
        threads = plan.device.threads if self.threads is None else self.threads
        if threads == "auto" and (device.type != "cpu" or plan.device.deterministic):
            threads = 1
        if threads != "auto":
            torch.set_num_threads(threads)
            return threads
        trial = Eager(plan, trial_copy(parts, plan, device), steps)
        fastest = measured_threads(lambda n: trial.advance(n).tolist())[0]
        trial.close()
        return fastest


@dataclass(frozen=True)
class MemberTrainer:
    """Hands out the parts of a run that is a member of a stack: they were built with those of the other members."""

    gear_name: ClassVar[str] = "stacked"
    member: TrainerParts

    def prepare(
        self, plan: Plan, device: torch.device, dtype: torch.dtype, observer: Observer, on_shift: OnShift
    ) -> TrainerParts:
        torch.set_num_threads(self.member.threads)  # of this thread, which is not the one that measured
        return self.member
