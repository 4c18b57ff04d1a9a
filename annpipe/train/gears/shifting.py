"""The gear of a run by itself: eager, until it shifts to compiled or graphed steps; all leave the same checkpoints."""

from __future__ import annotations

from typing import Any

import torch

from annpipe.plan.plan import Plan
from annpipe.train.gears.base import Gear
from annpipe.train.gears.compiled.block_stepper import BlockStepper
from annpipe.train.gears.compiled.gearbox import Gearbox, OnShift, is_off
from annpipe.train.gears.compiled.verify import Candidate
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.eager.guard import NOT_FINITE, Guard
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule


def gear_for(plan: Plan, parts: Parts, schedule: Schedule, on_shift: OnShift) -> Gear:
    """The gear that a plan asks for; `on_shift` is called with each shift."""
    return Eager(plan, parts, schedule) if is_off(plan) else Shifting(plan, parts, schedule, on_shift)


class Shifting:
    """Eager until it shifts to compiled steps. `solo` has the run's state, whichever takes the steps."""

    def __init__(self, plan: Plan, parts: Parts, schedule: Schedule, on_shift: OnShift) -> None:
        self.solo = Eager(plan, parts, schedule)
        self._plan, self._parts, self._schedule = plan, parts, schedule
        self._box = Gearbox(plan, [parts], schedule, on_shift)
        self._stepper: BlockStepper | None = None

    @property
    def step(self) -> int:
        return self.solo.step

    @property
    def guard(self) -> Guard:
        return self.solo.guard

    def pause_after(self, n_steps: int) -> int:
        return self._box.pause_after(self.step, n_steps)

    def advance(self, n_steps: int) -> torch.Tensor:
        box = self._box
        if box.wants_to_shift(self.step):
            runs = [self._plan], [self._parts], [self.solo]
            box.shift(self.step, Candidate(*runs, self._schedule, box.groups.steps_per_call, self._batch_at))
        if box.compiled is None:
            begin = box.clock()
            losses = self.solo.advance(n_steps)
            box.note(box.clock() - begin, n_steps)
            return losses
        stepper = self._stepper = self._stepper or self._new_stepper()
        losses = stepper.take(self.step, n_steps)
        if stepper.state.broken:
            self.guard.broken = NOT_FINITE
        return losses[:, 0]

    def _new_stepper(self) -> BlockStepper:
        state = StackedState([self._plan], [self._parts], [torch.Generator()], self.step)
        solo = self.solo
        return BlockStepper(
            self._box,
            state,
            [solo.optimizer],
            self._schedule,
            begin_epoch=solo.batches.begin_epoch,
            batch_at=self._batch_at,
            after_step=solo.took_step,
        )

    def _batch_at(self, batch_index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """x and y of a batch of the epoch, (1, rows, …)."""
        x, y = self.solo.batches.at(batch_index)
        return x.unsqueeze(0), y.unsqueeze(0)

    def drain_rates(self) -> list[tuple[int, dict[str, float]]]:
        return self.solo.drain_rates()

    def scheduler_on_metric(self, value: float) -> None:
        self.solo.scheduler_on_metric(value)
        if self._stepper is not None:
            self._stepper.options_changed()

    def result(self) -> torch.nn.Module:
        return self.solo.result()

    def close(self) -> None:
        """Lets go of rows that were read ahead; the parts' tensors are their own again."""
        self._release()
        self.solo.close()

    def _release(self) -> None:
        if self._stepper is not None:
            self._stepper.state.release(self._parts)
            self._stepper = None

    def settle(self, state: dict[str, Any] | None = None) -> str | None:
        return self.solo.settle(state)

    def shift_at(self, step: int, threads: int | None) -> None:
        """Makes a new run shift at this step, to so many threads, as a recorded one did."""
        self._box.load_state({"shifted_at": step, "threads": threads})

    def state(self) -> dict[str, Any]:
        return {**self.solo.state(), "gear": self._box.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on from a state of any gear; one that had shifted compiles before its next step."""
        self._release()
        self.solo.load_state(state)
        self._box.load_state(state.get("gear", {}))
