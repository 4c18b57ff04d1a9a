"""The gear of a run by itself: eager, until it shifts to compiled or graphed steps; all leave the same checkpoints."""

from __future__ import annotations

from typing import Any

import torch

from annpipe.plan.plan import Plan
from annpipe.train.gears.base import Gear
from annpipe.train.gears.compiled.gearbox import Gearbox, Tell, is_off
from annpipe.train.gears.compiled.steps import numbers_of
from annpipe.train.gears.compiled.verify import Candidate, Compiled, option_table
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.eager.guard import NOT_FINITE, Guard
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule


def gear_for(plan: Plan, parts: Parts, schedule: Schedule, tell: Tell) -> Gear:
    """The gear that a plan asks for; `tell` hears of a shift."""
    return Eager(plan, parts, schedule) if is_off(plan) else Shifting(plan, parts, schedule, tell)


class Shifting:
    """Eager until it shifts to compiled steps. `solo` has the run's state, whichever takes the steps."""

    def __init__(self, plan: Plan, parts: Parts, schedule: Schedule, tell: Tell) -> None:
        self.solo = Eager(plan, parts, schedule)
        self._plan, self._parts, self._schedule = plan, parts, schedule
        self._box = Gearbox(plan, [parts], schedule, tell)
        self._state: StackedState | None = None
        self._options: list[torch.Tensor] = []

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
            one = [self._plan], [self._parts], [self.solo]
            box.shift(self.step, Candidate(*one, self._schedule, box.blocks.size, self._rows_at))
        if box.compiled is None:
            begin = box.clock()
            losses = self.solo.advance(n_steps)
            box.note(box.clock() - begin, n_steps)
            return losses
        found, last = list[torch.Tensor](), self.step + n_steps
        while self.step < last:
            whole = box.begins_block(self.step, last - self.step)
            found.append(self._block(box.compiled) if whole else self._single())
            if self._state is not None and self._state.broken:
                self.guard.broken = NOT_FINITE
                break
        return torch.cat(found)

    def _laid_out(self) -> StackedState:
        if self._state is None:
            self._state = StackedState([self._plan], [self._parts], [torch.Generator()], self.step)
            self._options.clear()
        return self._state

    def _rows_at(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = self.solo.batches.at(place)
        return x.unsqueeze(0), y.unsqueeze(0)

    def _next_rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """x and y of the next step, (1, rows, …)."""
        place = self.step % self._schedule.steps_per_epoch
        if place == 0:
            self.solo.batches.begin_epoch()
        return self._rows_at(place)

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
        for _ in range(self._box.blocks.size):
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
        return {**self.solo.state(), "gear": self._box.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on from a state of any gear; one that had shifted compiles before its next step."""
        self._let_go()
        self.solo.load_state(state)
        self._options.clear()
        self._box.load_state(state.get("gear", {}))
