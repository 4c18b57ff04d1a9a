"""Estimates whether several steps a call are worth compiling or capturing, and how many go into one call.

What that cost and gained is kept in the user's cache folder, for each shape of run and version.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from annpipe.backend.device import processor
from annpipe.files.descriptors import move
from annpipe.files.private import cache_folder, private_folder
from annpipe.plan.plan import Plan
from annpipe.train.gears.stacked.eligibility import stack_key
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule

MOST_STEPS = 8  # a call: more gain nothing, and take longer to compile
LEAST_GROUPS = 8  # of a run, where they are larger
CALL_COST = 0.3  # what a call costs beside its steps, in eager steps
LAYER_SECONDS = 40e-6  # what the host spends on a layer in an eager step, forward and backward, beside the arithmetic
LEAST_LEFT = 0.5  # of an eager step, where nothing is known
COMPILE_SECONDS = 20.0  # where nothing is known: so many, and for each layer and step of a call
COMPILE_LAYER_SECONDS = 0.6
CAPTURE_SECONDS = 2.0  # where nothing is known: so many, and for each step of a call as many as so many eager steps
CAPTURE_STEPS = 15.0
UNKNOWN_MARGIN = 2.0  # how often an estimated gain has to pay for an estimated cost; a known one 1.2 times
KNOWN_MARGIN = 1.2
AGAIN_FRACTION = 0.3  # of the first time, where the second was not measured


@dataclass(frozen=True)
class CompileRecord:
    """What a compiled run of this shape was like: seconds to compile, and of a step; or why it could not be.

    `again_seconds` are those of compiling once more, with code that the cache folder has, where that was measured.
    """

    compile_seconds: float
    eager_seconds: float = 0.0
    compiled_seconds: float = 0.0
    refused: str | None = None
    again_seconds: float | None = None

    def after(self, before: CompileRecord | None) -> CompileRecord:
        """What is known now, where something was known before."""
        if before is None or before.refused is not None:
            return self
        return replace(self, compile_seconds=before.compile_seconds, again_seconds=self.compile_seconds)

    @property
    def next_seconds(self) -> float:
        """What compiling will take the next time."""
        return self.compile_seconds * AGAIN_FRACTION if self.again_seconds is None else self.again_seconds


Cost = Callable[[float, int, int], float]
"""Seconds of an eager step, layers, steps of a call -> the seconds that it takes to have them in one call."""


def compiling_cost(eager_seconds: float, n_layers: int, n_calls: int) -> float:
    """What it takes to compile them, roughly."""
    return COMPILE_SECONDS + COMPILE_LAYER_SECONDS * n_layers * n_calls


def capturing_cost(eager_seconds: float, n_layers: int, n_calls: int) -> float:
    """What it takes to capture and check them, roughly: they are taken some times as they are written."""
    return CAPTURE_SECONDS + CAPTURE_STEPS * n_calls * eager_seconds


def is_worth(
    eager_seconds: float,
    n_left: int,
    n_layers: int,
    n_calls: int,
    known: CompileRecord | None,
    cost: Cost = compiling_cost,
) -> bool:
    """Whether compiling pays within the `n_left` steps that are left, of `eager_seconds` each.

    `n_layers` and the `n_calls` steps of a call tell what compiling costs, or what else the `cost` is of, where
    nothing is `known`.

    >>> is_worth(0.0006, 1_000_000, 7, 8, None), is_worth(0.0006, 10_000, 7, 8, None)
    (True, False)
    """
    if known is None:
        saved = min(LEAST_LEFT * eager_seconds, LAYER_SECONDS * (n_layers + 1))
        return n_left * saved > UNKNOWN_MARGIN * cost(eager_seconds, n_layers, n_calls)
    if known.refused is not None or known.eager_seconds <= 0:
        return False
    saved = eager_seconds * (1 - known.compiled_seconds / known.eager_seconds)
    return n_left * saved > KNOWN_MARGIN * known.next_seconds


@dataclass(frozen=True)
class StepGroups:
    """Which steps go into one call: always the same ones, wherever a run pauses or was interrupted.

    Between two looks, and between two short batches, groups of `steps_per_call` steps follow one another; what is left
    over is stepped one by one.
    """

    schedule: Schedule
    steps_per_call: int

    def steps_at(self, step: int) -> int:
        """The steps of the group that begins after `step` steps: `steps_per_call` or 1."""
        begin, end = _stretch(self.schedule, step)
        size = self.steps_per_call
        return size if (step - begin) % size == 0 and step + size <= end else 1

    def pause_after(self, step: int, n_steps: int) -> int:
        """The fewest steps, `n_steps` at least, with which no group is cut that begins after `step` steps."""
        last, size = step + n_steps, self.steps_per_call
        begin, end = _stretch(self.schedule, last - 1)
        whole = begin + (end - begin) // size * size
        if last < whole:
            last = begin + -(-(last - begin) // size) * size
        return last - step


def step_groups(schedule: Schedule, most_steps: int = MOST_STEPS) -> StepGroups:
    """The groups of the size, `most_steps` at most, that leaves least to do one by one.

    Sizes beyond `MOST_STEPS` are an eighth of the run at most: the one in which the run shifts is stepped one by one.
    """
    begin, end = _stretch(schedule, 0)
    length = end - begin
    most_steps = min(most_steps, max(MOST_STEPS, schedule.total_steps // LEAST_GROUPS))

    def cost(size: int) -> float:
        return length % size + CALL_COST * (length // size)

    return StepGroups(schedule, min(range(1, most_steps + 1), key=lambda size: (cost(size), -size)))


def has_short_batch(schedule: Schedule) -> bool:
    """Whether the last batch of an epoch has fewer rows than the others."""
    return schedule.rows_at(schedule.steps_per_epoch - 1) != schedule.step_rows


def _stretch(schedule: Schedule, step: int) -> tuple[int, int]:
    """The steps around the one after `step` steps that see as many rows, without a look between them."""
    per_epoch, end = schedule.steps_per_epoch, schedule.next_look(step)
    begin = 0
    if schedule.look_every is not None:
        stride = schedule.look_every * per_epoch
        begin = step // stride * stride
    if has_short_batch(schedule):
        epoch = step // per_epoch * per_epoch
        short = epoch + per_epoch - 1
        if step == short:
            return short, short + 1
        begin, end = max(begin, epoch), min(end, short)
    return begin, end


def memory_key(plan: Plan, parts: Parts, n_members: int, steps_per_call: int, threads: int) -> str:
    """What decides how long compiling or capturing takes and what it gains, as 16 hexadecimal digits."""
    versions = [metadata.version("torch"), metadata.version("annpipe"), processor(parts.rows["train"].device)]
    shape = [stack_key(plan, parts), n_members, steps_per_call, threads, *versions]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


def recall(key: str) -> CompileRecord | None:
    """What is known under a key; a file that cannot be read is as good as none."""
    try:
        kept: Any = json.loads(_file(key).read_text(encoding="utf-8"))
        return CompileRecord(**kept)
    except (OSError, ValueError, TypeError):
        return None


def remember(key: str, known: CompileRecord) -> None:
    """Keeps it for later runs, where the cache folder can be written."""
    path = _file(key)
    part = path.with_suffix(f".{os.getpid()}")
    try:
        private_folder(path.parent)
        part.write_text(json.dumps(asdict(known)), encoding="utf-8", newline="\n")
        move(part, path)
    except OSError:
        return


def _file(key: str) -> Path:
    return cache_folder() / "gears" / f"{key}.json"
