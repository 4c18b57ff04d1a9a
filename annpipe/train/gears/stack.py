"""The stack: many runs of one structure step together, while each keeps a loop of its own.

Every loop runs in a thread of its own, one at a time: it has the turn until it asks its gear, a `Member`, for steps.
Once all members that still train have asked, the thread that called `together` takes as many steps for all as the
most modest asked for. It alone computes steps: each thread would keep memory and helping threads of its own for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from annpipe.backend.device import measured_threads
from annpipe.backend.torch_shortcuts import step_first
from annpipe.plan.plan import Plan
from annpipe.train.gears.compiled.gearbox import Gearbox, Shift, Tell
from annpipe.train.gears.compiled.steps import numbers_of
from annpipe.train.gears.compiled.verify import Candidate, Compiled, option_table
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.eager.guard import NOT_FINITE, Guard
from annpipe.train.gears.stacked.rows import StackedRows
from annpipe.train.gears.stacked.state import REACH, StackedState
from annpipe.train.parts import Parts
from annpipe.train.schedule import Pace, Schedule
from annpipe.train.tally import step_losses

T = TypeVar("T")
MEASURED_STEPS = 300  # from so many on the fastest way is measured: some thirty passes
PAUSE_SECONDS = 0.5  # at each pause all members have a turn


class Member:
    """One run of a stack: a gear like any other. `solo` holds what the run has by itself, and its state."""

    def __init__(self, stack: Stack, plan: Plan, parts: Parts, schedule: Schedule) -> None:
        self._stack, self.plan, self.parts = stack, plan, parts
        self.solo = Eager(plan, parts, schedule)
        self.stream = torch.Generator()
        self.stream.set_state(self.solo.stream.state["cpu"])
        self.wanted = 0
        self.losses: list[torch.Tensor] = []
        self.is_gone = False

    @property
    def step(self) -> int:
        return self.solo.step

    @property
    def guard(self) -> Guard:
        return self.solo.guard

    def advance(self, n_steps: int) -> torch.Tensor:
        """Takes `n_steps` steps with the other members, inside `Stack.together`; all wait for the last one to ask."""
        self.wanted, self.losses = n_steps, []
        self._stack.wait_for(self)
        return torch.cat(self.losses)

    def told(self, figures: torch.Tensor, n_terms: int) -> torch.Tensor:
        """What the stack gives for its steps, as the run by itself tells it: losses, where its rows weigh the same."""
        return figures if self.solo.terms is not None else step_losses(figures, n_terms)

    def pause_after(self, n_steps: int) -> int:
        return self._stack.pause_after(self.step)

    def leave(self) -> None:
        """The run is over, or is left to itself: its tensors are its own again, and the others wait for it no more."""
        self._stack.leave(self)

    def drain_rates(self) -> list[tuple[int, dict[str, float]]]:
        return self.solo.drain_rates()

    def scheduler_on_metric(self, value: float) -> None:
        self.solo.scheduler_on_metric(value)
        self._stack.rates_changed()

    def result(self) -> torch.nn.Module:
        return self.solo.result()

    def close(self) -> None:
        self.solo.close()

    def settle(self, state: dict[str, Any] | None = None) -> bool:
        return self.solo.settle(state)

    def state(self) -> dict[str, Any]:
        self.keep_stream()
        return self.solo.state()

    def keep_stream(self) -> None:
        """Brings the dropout stream up to date, while the stack draws for the member."""
        if not self.is_gone:
            self.solo.stream.state = {**self.solo.stream.state, "cpu": self.stream.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.solo.load_state(state)
        self.stream.set_state(self.solo.stream.state["cpu"])
        self._stack.changed()


def no_one(shift: Shift) -> None:
    """Hears of shifts where nobody asked."""


class Stack:
    """Runs whose plans have one `stack_key`, and none a reason to go alone; members stand at the same step."""

    def __init__(
        self, plans: Sequence[Plan], parts: Sequence[Parts], schedules: Sequence[Schedule], tell: Tell = no_one
    ) -> None:
        self._tell = tell
        self._turn = threading.RLock()
        self._asked = threading.Condition(self._turn)
        self._fault: BaseException | None = None
        self.members = [Member(self, *one) for one in zip(plans, parts, schedules, strict=True)]
        self._taken = {member: threading.Condition(self._turn) for member in self.members}
        self._present = list(self.members)
        self._state: StackedState | None = None
        self._rows: StackedRows | None = None
        self._steps_per_epoch = schedules[0].steps_per_epoch
        self._schedule, self._longest = schedules[0], max(one.total_steps for one in schedules)
        self._reach = REACH
        self._rates_stale = True
        self._pace, self._pause_at = Pace(PAUSE_SECONDS), 0
        self.box = self._new_box()
        for member in self.members:  # no gradient yet: it changes nothing, and schedulers see that the optimizer went
            step_first(member.parts.optimizer)

    def together(self, work: Callable[[Member], T]) -> list[T | BaseException]:
        """What `work`, the loop of one member, gave or raised, for each member; they run in threads, by turns."""

        def by_turns(member: Member) -> T | BaseException:
            with self._turn:
                try:
                    return work(member)
                except BaseException as error:  # one run's failure is not the others'
                    return error
                finally:
                    self.leave(member)

        with ThreadPoolExecutor(len(self.members)) as threads:
            told = [threads.submit(by_turns, member) for member in self.members]
            self._drive()
        return [one.result() for one in told]

    def _drive(self) -> None:
        """Takes steps whenever all have asked, until all have left; a fault, an interruption too, ends every run."""
        with self._turn:
            while left := self._still():
                try:
                    if self._fault is None and self._all_asked():
                        self._advance(min(member.wanted for member in left))
                    else:
                        self._asked.wait()
                except BaseException as error:
                    self._fault = error
                    for taken in self._taken.values():
                        taken.notify()

    def changed(self) -> None:
        """A member took in a state: it is stacked anew before the next step."""
        self._state = self._rows = None

    def rates_changed(self) -> None:
        """A member's optimizer has other options."""
        self._rates_stale = True

    def leave(self, member: Member) -> None:
        """Lets the others go on without the member; the stack is laid out anew when half of it has left."""
        with self._turn:
            if member.is_gone:
                return
            member.keep_stream()
            member.is_gone = True
            if self._state is not None:
                self._state.leave(member.parts)
            self._asked.notify()

    def wait_for(self, member: Member) -> None:
        """Comes back when the member has the steps it wants."""
        assert not member.is_gone
        with self._turn:
            if self._all_asked():
                self._asked.notify()
            while member.wanted and self._fault is None:
                self._taken[member].wait()
            if self._fault is not None:
                raise self._fault

    def pause_after(self, step: int) -> int:
        """The steps from `step` to the next pause, which is one for all."""
        if step >= self._pause_at:
            self._pause_at = step + self._pace.steps
        return self.box.pause_after(step, self._pause_at - step)

    def _still(self) -> list[Member]:
        return [member for member in self.members if not member.is_gone]

    def _all_asked(self) -> bool:
        return all(member.wanted for member in self._still())

    def _advance(self, n_steps: int) -> None:
        """Takes steps for all, and hands out the losses."""
        begin = time.perf_counter()
        losses = self.take(n_steps)
        n_terms = self._state.n_terms if self._state is not None else 0
        self._pace.took(n_steps, time.perf_counter() - begin)
        for place, member in enumerate(self._present):
            if not member.is_gone:
                broken = self._state.broken.get(place) if self._state else None
                first = member.step - len(losses)
                own = member.told(losses[:, place], n_terms)
                member.losses.append(own[: None if broken is None else max(1, broken - first)])
                if broken is not None:
                    member.guard.broken = NOT_FINITE
                member.wanted -= n_steps
                if not member.wanted:
                    self._taken[member].notify()

    def measure(self, threads: int | str) -> int:
        """Before the first step: finds how many threads and members at once are fastest; the number of threads.

        A number of threads is taken as given. Short runs are not worth it, and take one thread.
        """
        torch.set_num_threads(1 if isinstance(threads, str) else threads)
        if self._longest - self.members[0].step < MEASURED_STEPS:
            return torch.get_num_threads()
        state, rows = self._laid_out()
        x, y = rows.at(0)
        if state.can_be_tried and x.device.type == "cpu":
            if isinstance(threads, str):
                measured_threads(lambda n: state.trial(x, y, n))
            self._reach = state.measure(x, y)
        return torch.get_num_threads()

    def take(self, n_steps: int) -> torch.Tensor:
        """Steps of all members at once: the losses, (steps, members), of those that are laid out, or the values and
        divisors of their terms, (steps, members, 2K)."""
        state, rows = self._laid_out()
        box, step = self.box, self._still()[0].step
        present = self._present
        if len(present) == len(self._still()) and box.wants_to_shift(step):  # who left stands at another step
            one = [m.plan for m in present], [m.parts for m in present], [m.solo for m in present]
            box.shift(step, Candidate(*one, self._schedule, box.blocks.size, rows.at))
        state.train()
        begin, losses, last = box.clock(), list[torch.Tensor](), step + n_steps
        while step < last:
            if box.compiled is not None and box.begins_block(step, last - step):
                losses.append(self._block(box.compiled, state, rows, step))
            else:
                losses.append(self._single(state, rows, step).unsqueeze(0))
            step += len(losses[-1])
        state.count(step)
        if box.compiled is None:
            box.note(box.clock() - begin, n_steps)
        return torch.cat(losses)

    def _single(self, state: StackedState, rows: StackedRows, step: int) -> torch.Tensor:
        """One step: the losses, (members,)."""
        x, y = self._next_rows(rows, step)
        if self._rates_stale:
            state.read_rates()
            self._rates_stale = False
        losses = state.step(x, y, step + 1)
        self._took_step()
        return losses

    def _next_rows(self, rows: StackedRows, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        place = step % self._steps_per_epoch
        if place == 0:
            for member in self._still():
                member.solo.batches.begin_epoch()
            rows.begin_epoch()
        return rows.at(place)

    def _took_step(self) -> bool:
        """Counts a step of each member; whether the options of one changed."""
        changed = [member.solo.took_step() for member in self._still()]
        self._rates_stale |= any(changed)
        return any(changed)

    def _block(self, compiled: Compiled, state: StackedState, rows: StackedRows, step: int) -> torch.Tensor:
        """Compiled steps: the losses, (steps, members)."""
        own, tables, options = list[tuple[torch.Tensor, torch.Tensor]](), list[list[torch.Tensor]](), None
        for number in range(self.box.blocks.size):
            if options is None:
                options = option_table([member.parts.optimizer for member in self._present], state.stepping.numbers)
            tables.append(options)
            own.append(self._next_rows(rows, step + number))
            if self._took_step():
                options = None
        own = own[:1] if self._schedule.is_full_batch else own
        table = [torch.stack(group) for group in zip(*tables, strict=True)]  # (steps, options, members) of each
        return compiled.steps(numbers_of(state), [x for x, _ in own], [y for _, y in own], table, step + 1)

    def _new_box(self) -> Gearbox:
        first = self._present[0]
        return Gearbox(first.plan, [m.parts for m in self._present], self._schedule, self._tell, "stacked, ")

    def _laid_out(self) -> tuple[StackedState, StackedRows]:
        """The tensors of the present members side by side; those that left are let go with every second one."""
        left = self._still()
        if self._state is None or self._rows is None or len(left) * 2 <= len(self._present):
            assert len({member.step for member in left}) == 1, "the members of a stack stand at one step"
            for member in left:
                if self._state is not None:
                    self._state.release(member.parts)
            if len(left) != len(self._present):  # compiled steps are for so many members
                self._present = left
                self.box = self._new_box()
            streams = [member.stream for member in left]
            parts = [member.parts for member in left]
            self._state = StackedState([m.plan for m in left], parts, streams, left[0].step, self._reach)
            self._rows = StackedRows([m.parts for m in left], [m.solo.batches for m in left], self._schedule)
            self._rates_stale = True
        return self._state, self._rows
