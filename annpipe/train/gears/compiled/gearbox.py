"""Decides which gear takes the steps: eager at first; compiled, or on CUDA graphed, as soon as that pays.

A run, or a stack of runs, shifts once at most; one that is resumed after its shift goes on with steps of that gear.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from annpipe.backend.device import clock
from annpipe.datasets.steps.tensors import Rows
from annpipe.plan.plan import Plan
from annpipe.train.gears.compiled.kinds import COMPILED, KINDS
from annpipe.train.gears.compiled.verify import Candidate, Compiled, NotCompiled, compile_checked, why_not_compiled
from annpipe.train.gears.compiled.worth import CompileRecord, is_worth, memory_key, recall, remember, step_groups
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule

MEASURE_SECONDS = 1.0  # of eager steps, before `auto` decides
SHORT_SECONDS = 5.0  # what is shorter is not worth asking about


@dataclass(frozen=True)
class Shift:
    """A change of gear, or why it did not come about, in words and as tags."""

    message: str
    tags: Mapping[str, str]


OnShift: TypeAlias = Callable[[Shift], None]


class Gearbox:
    """Decides when to shift, and holds the compiled steps once they are there; `on_shift` is called with it.

    The device says whether steps are compiled or graphed. `prefix` stands before that word in the record.
    """

    def __init__(
        self, plan: Plan, parts: Sequence[Parts], schedule: Schedule, on_shift: OnShift, prefix: str = ""
    ) -> None:
        self._plan, self._parts, self._schedule, self._prefix = plan, parts, schedule, prefix
        self._on_shift = on_shift
        self._device = parts[0].rows["train"].device
        self._kind = KINDS.get(self._device.type, COMPILED)  # of another device nothing is compiled
        self.groups = step_groups(schedule, self._kind.most_steps_of(_row_bytes(parts, schedule)))
        self.compiled: Compiled | None = None
        self._shifted_at: int | None = None
        self._threads: int | None = None
        self._shifts: list[str] = []
        self._is_decided = is_off(plan)
        self._seconds, self._steps, self._least = 0.0, 0, float("inf")

    def clock(self) -> float:
        """Seconds; until it is decided, those when the device had done all that it was given."""
        return time.perf_counter() if self._is_decided else clock(self._device)

    def note(self, seconds: float, n_steps: int) -> None:
        """Eager steps took so long; the first ones do not count, they wake things up."""
        if self._steps:
            self._least = min(self._least, seconds / n_steps)
            self._seconds += seconds
        self._steps += n_steps

    def pause_after(self, step: int, n_steps: int) -> int:
        """The steps, `n_steps` at least, with which no block is cut; no more than to the step of a recorded shift."""
        is_about_to_shift = self._shifted_at is not None and not self._is_decided  # a run that is resumed or replayed
        if is_about_to_shift and step < int(self._shifted_at or 0):
            return min(n_steps, int(self._shifted_at or 0) - step)
        return self.groups.pause_after(step, n_steps) if self.compiled or is_about_to_shift else n_steps

    def begins_block(self, step: int, n_left: int) -> bool:
        """Whether compiled steps are next, of the `n_left` steps that are asked for."""
        is_full = self._schedule.rows_at(step % self._schedule.steps_per_epoch) == self._schedule.step_rows
        size = self.groups.steps_per_call
        return self.compiled is not None and is_full and size <= n_left and self.groups.steps_at(step) == size

    def wants_to_shift(self, step: int) -> bool:
        """Whether it is time to compile: at once where the plan says so, or the run did before it was interrupted.

        The first step is always an eager one: it makes the optimizers' state.
        """
        if self._is_decided or step == 0:
            return False
        if self._shifted_at is not None:
            return step >= self._shifted_at
        if self._plan.device.compile == "on":
            return True
        if not self._seconds or self._seconds < MEASURE_SECONDS:
            return False
        self._is_decided = True
        n_left = self._schedule.total_steps - step
        if self._plan.train.max_seconds is not None:
            n_left = min(n_left, int(self._plan.train.max_seconds / self._least))
        if n_left * self._least < SHORT_SECONDS or why_not_compiled(self._plan, self._parts[0]) is not None:
            return False
        known = recall(self._key(torch.get_num_threads()))
        return is_worth(self._least, n_left, len(self._plan.model), self.groups.steps_per_call, known, self._kind.cost)

    def _key(self, threads: int) -> str:
        return memory_key(self._plan, self._parts[0], len(self._parts), self.groups.steps_per_call, threads)

    def shift(self, step: int, candidate: Candidate) -> None:
        """Compiles, or says why not and stays eager."""
        self._is_decided = True
        threads = torch.get_num_threads()
        key = self._key(threads) if isinstance(self._parts[0].rows["train"], Rows) else None
        try:
            why = why_not_compiled(self._plan, self._parts[0])
            if why is not None:
                raise NotCompiled(why)
            wanted = sorted({threads, 1}, reverse=True) if self._kind.minds_threads else [threads]
            wanted = [self._threads] if self._threads else wanted
            self.compiled = compile_checked(candidate, self._kind, wanted, needs_gain=self._shifted_at is None)
        except NotCompiled as refused:
            if key is not None:
                remember(key, CompileRecord(0.0, refused=str(refused)))
            self._shifts.append(f"step {step}: {refused}")
            message = f"warning: the run stays with the eager gear, {self._kind.refused}: {refused}"
            self._on_shift(Shift(message, {"annpipe.shifts": "; ".join(self._shifts)}))
            return
        known = self.compiled.known
        if key is not None:
            remember(key, known.after(recall(key)))
        self._shifted_at = step if self._shifted_at is None else self._shifted_at
        self._threads = self.compiled.threads
        times = f"{known.eager_seconds * 1000:.3g} → {known.compiled_seconds * 1000:.3g} ms a step"
        self._shifts.append(f"step {step}: eager → {self._kind.word} in {known.compile_seconds:.1f} s, {times}")
        message = f"{self._kind.made} in {known.compile_seconds:.1f} s at step {step}: {times}"
        tags = {"annpipe.gear": self._prefix + self._kind.word, "annpipe.threads": str(self._threads)}
        self._on_shift(Shift(message, {**tags, "annpipe.shifts": "; ".join(self._shifts)}))

    def state(self) -> dict[str, Any]:
        """What a resumed run has to know of it."""
        return {
            "is_decided": self._is_decided,
            "shifted_at": self._shifted_at,
            "threads": self._threads,
            "shifts": self._shifts,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state; an empty one is that of a run that has decided nothing."""
        self._shifted_at, self._threads = state.get("shifted_at"), state.get("threads")
        self._is_decided = is_off(self._plan) or (bool(state.get("is_decided")) and self._shifted_at is None)
        self._shifts = list(state.get("shifts", []))


def _row_bytes(parts: Sequence[Parts], schedule: Schedule) -> int:
    """The bytes of the rows of a step; 0 where all see the same, or rows are in files."""
    rows = parts[0].rows["train"]
    if schedule.is_full_batch or not isinstance(rows, Rows):
        return 0
    return len(parts) * schedule.step_rows * sum(tensor.nbytes // len(tensor) for tensor in (rows.x, rows.y))


def is_off(plan: Plan) -> bool:
    """Whether a run of the plan never compiles its steps."""
    return plan.device.compile == "off" or (plan.device.compile == "auto" and plan.device.deterministic)
