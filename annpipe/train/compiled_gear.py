"""The gear of a run by itself: eager at first, compiled as soon as that pays, and eager for good where it cannot be.

Whichever it is, checkpoints hold the same; a run shifts once at most, and one that is resumed after its shift goes on
with compiled steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.plan.plan import Plan
from annpipe.train.compiled_steps import numbers_of
from annpipe.train.compiling import Candidate, Compiled, Refused, compile_checked, option_table, why_not_compiled
from annpipe.train.data import Rows
from annpipe.train.gear_choice import Known, blocks, is_worth, memory_key, recall, remember
from annpipe.train.gears import Eager, Gear
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule
from annpipe.train.stacked_state import StackedState

MEASURE_SECONDS = 1.0  # of eager steps, before `auto` decides
SHORT_SECONDS = 5.0  # what is shorter is not worth asking about
EAGER, COMPILED = "eager", "compiled"


@dataclass(frozen=True)
class Shift:
    """A run's change of gear, or why it fell back, in words and as tags."""

    message: str
    tags: Mapping[str, str]


Tell = Callable[[Shift], None]


def gear_for(plan: Plan, parts: Parts, schedule: Schedule, tell: Tell) -> Gear:
    """The gear that a plan asks for; `tell` hears of a shift."""
    word = plan.device.compile
    if word == "off" or (word == "auto" and plan.device.deterministic):
        return Eager(plan, parts, schedule)
    return Shifting(plan, parts, schedule, tell)


class Shifting:
    """Eager until it shifts to compiled steps. `solo` has the run's state, whichever takes the steps."""

    def __init__(self, plan: Plan, parts: Parts, schedule: Schedule, tell: Tell) -> None:
        self.solo = Eager(plan, parts, schedule)
        self._plan, self._parts, self._schedule, self._tell = plan, parts, schedule, tell
        self._blocks = blocks(schedule)
        self._compiled: Compiled | None = None
        self._state: StackedState | None = None
        self._options: list[torch.Tensor] = []
        self._shifted_at: int | None = None
        self._threads: int | None = None
        self._shifts: list[str] = []
        self._is_decided = False
        self._seconds, self._steps, self._least = 0.0, 0, float("inf")

    @property
    def step(self) -> int:
        return self.solo.step

    def pause_after(self, n_steps: int) -> int:
        return self._blocks.pause_after(self.step, n_steps) if self._compiled else n_steps

    def advance(self, n_steps: int) -> torch.Tensor:
        if self._compiled is None and not self._is_decided and self.step > 0 and self._wants_to():
            self._shift()
        if self._compiled is None:
            return self._eager(n_steps)
        losses, last = list[torch.Tensor](), self.step + n_steps
        while self.step < last:
            n_taken = self._blocks.steps_at(self.step)
            is_block = n_taken > 1 or self._blocks.size == 1
            whole = is_block and n_taken <= last - self.step and self._is_full_batch()
            losses.append(self._block(self._compiled) if whole else self._single())
        return torch.cat(losses)

    def _is_full_batch(self) -> bool:
        place = self.step % self._schedule.steps_per_epoch
        return self._schedule.rows_at(place) == self._schedule.step_rows

    def _eager(self, n_steps: int) -> torch.Tensor:
        begin = time.perf_counter()
        losses = self.solo.advance(n_steps)
        seconds = time.perf_counter() - begin
        if self._steps:  # the first steps wake things up
            self._least = min(self._least, seconds / n_steps)
            self._seconds += seconds
        self._steps += n_steps
        return losses

    def _wants_to(self) -> bool:
        """Whether it is time to compile: at once where the plan says so or the run did before it was interrupted."""
        if self._plan.device.compile == "on" or self._shifted_at is not None:
            return True
        if not self._seconds or self._seconds < MEASURE_SECONDS:
            return False
        self._is_decided = True
        n_left = self._schedule.total_steps - self.step
        if self._plan.train.max_seconds is not None:
            n_left = min(n_left, int(self._plan.train.max_seconds / self._least))
        if n_left * self._least < SHORT_SECONDS or why_not_compiled(self._plan, self._parts) is not None:
            return False
        known = recall(self._key(torch.get_num_threads()))
        return is_worth(self._least, n_left, len(self._plan.model), self._blocks.size, known)

    def _key(self, threads: int) -> str:
        return memory_key(self._plan, self._parts, 1, self._blocks.size, threads)

    def _shift(self) -> None:
        """Goes on with compiled steps, or tells why not and stays eager."""
        self._is_decided = True
        before, key = torch.get_num_threads(), self._key_or_none()
        threads = [self._threads] if self._threads else sorted({before, 1}, reverse=True)
        try:
            why = why_not_compiled(self._plan, self._parts)
            if why is not None:
                raise Refused(why)
            candidate = Candidate([self._plan], [self._parts], [self.solo], self._schedule, self._blocks.size)
            self._compiled = compile_checked(candidate, threads, needs_gain=self._shifted_at is None)
        except Refused as refused:
            if key is not None:
                remember(key, Known(0.0, refused=str(refused)))
            message = f"warning: the run stays with the eager gear, its step is not compiled: {refused}"
            self._tell(Shift(message, {"annpipe.shifts": "; ".join([*self._shifts, f"step {self.step}: {refused}"])}))
            return
        known = self._compiled.known
        if key is not None:
            remember(key, known.after(recall(key)))
        self._shifted_at = self.step if self._shifted_at is None else self._shifted_at
        self._threads = self._compiled.threads
        times = f"{known.eager_seconds * 1000:.3g} → {known.compiled_seconds * 1000:.3g} ms a step"
        self._shifts.append(f"step {self.step}: eager → compiled in {known.compile_seconds:.1f} s, {times}")
        message = f"compiled the step in {known.compile_seconds:.1f} s at step {self.step}: {times}"
        tags = {"annpipe.gear": COMPILED, "annpipe.threads": str(self._threads)}
        self._tell(Shift(message, {**tags, "annpipe.shifts": "; ".join(self._shifts)}))

    def _key_or_none(self) -> str | None:
        """The key that what is learnt is kept under; None where rows lie in files, which are never compiled."""
        return self._key(torch.get_num_threads()) if isinstance(self._parts.rows["train"], Rows) else None

    def _laid_out(self) -> StackedState:
        if self._state is None:
            self._state = StackedState([self._plan], [self._parts], [torch.Generator()], self.step)
            self._options.clear()
        return self._state

    def _next_rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """x and y of the next step, (1, rows, …)."""
        place = self.step % self._schedule.steps_per_epoch
        if place == 0:
            self.solo.batches.begin_epoch()
        x, y = self.solo.batches.at(place)
        return x.unsqueeze(0), y.unsqueeze(0)

    def _single(self) -> torch.Tensor:
        """One step that is in no block, by the same formulas, not compiled."""
        state = self._laid_out()
        state.read_rates()
        loss = state.step(*self._next_rows(), self.step + 1)
        self._took_step()
        state.count(self.step)
        return loss

    def _block(self, compiled: Compiled) -> torch.Tensor:
        state, first = self._laid_out(), self.step + 1
        rows, tables = list[tuple[torch.Tensor, torch.Tensor]](), list[list[torch.Tensor]]()
        for _ in range(self._blocks.size):
            if not self._options:
                self._options.extend(option_table([self.solo.optimizer], state.stepping.numbers))
            tables.append(list(self._options))
            rows.append(self._next_rows())
            self._took_step()
        if self._schedule.is_full_batch:
            rows = rows[:1]
        table = [torch.stack(own) for own in zip(*tables, strict=True)]  # (steps, options, 1) of each group
        losses = compiled.steps(numbers_of(state), [x for x, _ in rows], [y for _, y in rows], table, first)
        state.count(self.step)
        return losses[:, 0]

    def _took_step(self) -> None:
        if self.solo.took_step():
            self._options.clear()

    def drain_rates(self) -> list[tuple[int, dict[str, float]]]:
        return self.solo.drain_rates()

    def scheduler_on_metric(self, value: float) -> None:
        self.solo.scheduler_on_metric(value)
        self._options.clear()

    def result(self) -> torch.nn.Module:
        return self.solo.result()

    def close(self) -> None:
        """Lets go of rows that were read ahead; the parts' tensors are their own again."""
        self._let_go()
        self.solo.close()

    def _let_go(self) -> None:
        if self._state is not None:
            self._state.release(self._parts)
            self._state = None

    def settle(self, state: dict[str, Any] | None = None) -> bool:
        return self.solo.settle(state)

    def state(self) -> dict[str, Any]:
        gear = {
            "is_decided": self._is_decided,
            "shifted_at": self._shifted_at,
            "threads": self._threads,
            "shifts": self._shifts,
        }
        return {**self.solo.state(), "gear": gear}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on from a state of any gear; one that had shifted compiles before its next step."""
        self._let_go()
        self.solo.load_state(state)
        self._options.clear()
        gear = state.get("gear", {})
        self._shifted_at, self._threads = gear.get("shifted_at"), gear.get("threads")
        self._is_decided = bool(gear.get("is_decided")) and self._shifted_at is None
        self._shifts = list(gear.get("shifts", []))
