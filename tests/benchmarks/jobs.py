"""A spec as the gear that trains it, built the way `annpipe run` builds it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from annpipe.backend.device import computing, measured_threads
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.steps.tensors import Rows
from annpipe.draft.draft import draft
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.parts import Parts, build, trial_copy
from annpipe.train.schedule import Schedule, schedule


@dataclass(frozen=True)
class Job:
    """The gear with what it was built of, and the number of threads that `threads: auto` chose."""

    gear: Eager
    plan: Plan
    parts: Parts
    schedule: Schedule
    threads: int

    @property
    def rows(self) -> Rows | OnDiskRows:
        return self.parts.rows["train"]

    @property
    def steps_per_epoch(self) -> int:
        return self.schedule.steps_per_epoch

    def train(self, n_steps: int, chunk: int = 256) -> list[float]:
        """Takes steps and brings the losses to the host chunk by chunk, as the loop does at its pauses."""
        losses: list[float] = []
        for done in range(0, n_steps, chunk):
            losses += self.gear.advance(min(chunk, n_steps - done)).tolist()
        return losses


def load(spec: Path) -> Job:
    """Reads, resolves and builds a spec on the CPU."""
    plan = resolve(draft(load_spec(spec), Registry.installed(), project=spec.parent))
    device = torch.device("cpu")
    with computing(plan.device.precision, deterministic=False) as dtype:
        parts = build(plan, device, dtype)
        steps = schedule(plan, len(parts.rows["train"]))
        trial = Eager(plan, trial_copy(parts, plan, device), steps)
        threads = measured_threads(lambda n: trial.advance(n).tolist())[0]
        return Job(Eager(plan, parts, steps), plan, parts, steps, threads)


def per_step(train: Callable[[int], object], n_steps: int, threads: int) -> float:
    """Milliseconds a step takes with so many threads."""
    torch.set_num_threads(threads)
    train(5)  # the threads wake up, the caches are ours again
    begin = time.perf_counter()
    train(n_steps)
    return (time.perf_counter() - begin) / n_steps * 1000
