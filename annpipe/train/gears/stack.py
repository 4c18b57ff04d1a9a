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
from annpipe.train.gears.compiled.block_stepper import BlockStepper
from annpipe.train.gears.compiled.gearbox import Gearbox, OnShift, Shift
from annpipe.train.gears.compiled.verify import Candidate
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.eager.guard import NOT_FINITE, Guard
from annpipe.train.gears.stacked.rows import StackedRows
from annpipe.train.gears.stacked.state import CHUNK_ELEMENTS, StackedState
from annpipe.train.parts import Parts
from annpipe.train.schedule import Pace, Schedule
from annpipe.train.tally import step_losses

T = TypeVar("T")
MEASURED_STEPS = 300  # from so many on the fastest way is measured: some thirty passes
PAUSE_SECONDS = 0.5  # at each pause all members have a turn


class Member:
    """One run of a stack: a gear like any other. `solo` holds what the run has by itself, and its state."""

    def __init__(self, stack: StackedRuns, plan: Plan, parts: Parts, schedule: Schedule) -> None:
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
        """Takes `n_steps` steps with the others, inside `StackedRuns.together`; all wait for the last one to ask."""
        self.wanted, self.losses = n_steps, []
        self._stack.wait_for(self)
        return torch.cat(self.losses)

    def as_solo(self, figures: torch.Tensor, n_terms: int) -> torch.Tensor:
        """The figures of its steps as the run by itself gives them: losses, where its rows weigh the same."""
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
        self._stack.options_changed()

    def result(self) -> torch.nn.Module:
        return self.solo.result()

    def close(self) -> None:
        self.solo.close()

    def settle(self, state: dict[str, Any] | None = None) -> str | None:
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


def ignore_shift(shift: Shift) -> None:
    """The observer of shifts where nobody asked for them."""


class StackedRuns:
    """Runs whose plans have one `stack_key`, and none a reason to go alone; members stand at the same step."""

    def __init__(
        self,
        plans: Sequence[Plan],
        parts: Sequence[Parts],
        schedules: Sequence[Schedule],
        on_shift: OnShift = ignore_shift,
    ) -> None:
        self._on_shift = on_shift
        self._turn = threading.RLock()
        self._asked = threading.Condition(self._turn)
        self._fault: BaseException | None = None
        self.members = [Member(self, *run) for run in zip(plans, parts, schedules, strict=True)]
        self._taken = {member: threading.Condition(self._turn) for member in self.members}
        self._present = list(self.members)
        self._stepper: BlockStepper | None = None
        self._schedule, self._longest = schedules[0], max(schedule.total_steps for schedule in schedules)
        self._chunk_elements = CHUNK_ELEMENTS
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
            results = [threads.submit(by_turns, member) for member in self.members]
            self._drive()
        return [result.result() for result in results]

    def _drive(self) -> None:
        """Takes steps whenever all have asked, until all have left; a fault, an interruption too, ends every run."""
        with self._turn:
            while training := self._in_training():
                try:
                    if self._fault is None and self._all_asked():
                        self._advance(min(member.wanted for member in training))
                    else:
                        self._asked.wait()
                except BaseException as error:
                    self._fault = error
                    for taken in self._taken.values():
                        taken.notify()

    def changed(self) -> None:
        """A member took in a state: it is stacked anew before the next step."""
        self._stepper = None

    def options_changed(self) -> None:
        """A member's optimizer has other options."""
        if self._stepper is not None:
            self._stepper.options_changed()

    def leave(self, member: Member) -> None:
        """Lets the others go on without the member; they are stacked anew when half of them have left."""
        with self._turn:
            if member.is_gone:
                return
            member.keep_stream()
            member.is_gone = True
            if self._stepper is not None:
                self._stepper.state.leave(member.parts)
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

    def _in_training(self) -> list[Member]:
        return [member for member in self.members if not member.is_gone]

    def _all_asked(self) -> bool:
        return all(member.wanted for member in self._in_training())

    def _advance(self, n_steps: int) -> None:
        """Takes steps for all, and hands out the losses."""
        begin = time.perf_counter()
        losses = self.take(n_steps)
        assert self._stepper is not None  # `take` has made it
        state = self._stepper.state
        self._pace.took(n_steps, time.perf_counter() - begin)
        for number, member in enumerate(self._present):
            if member.is_gone:
                continue
            broken_at = state.broken.get(number)
            first = member.step - len(losses)
            figures = member.as_solo(losses[:, number], state.n_terms)
            member.losses.append(figures[: None if broken_at is None else max(1, broken_at - first)])
            if broken_at is not None:
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
        stepper = self._present_stepper()
        state, (x, y) = stepper.state, stepper.batch_at(0)
        if state.can_be_tried and x.device.type == "cpu":
            if isinstance(threads, str):
                measured_threads(lambda n: state.trial(x, y, n))
            self._chunk_elements = state.measure(x, y)
        return torch.get_num_threads()

    def take(self, n_steps: int) -> torch.Tensor:
        """Steps of all members at once: the losses, (steps, members), of those that are stacked, or the values and
        divisors of their terms, (steps, members, 2K)."""
        stepper = self._present_stepper()
        training = self._in_training()
        box, step, present = self.box, training[0].step, self._present
        if len(present) == len(training) and box.wants_to_shift(step):  # who left stands at another step
            runs = [m.plan for m in present], [m.parts for m in present], [m.solo for m in present]
            box.shift(step, Candidate(*runs, self._schedule, box.groups.steps_per_call, stepper.batch_at))
        stepper.state.train()
        begin = box.clock()
        losses = stepper.take(step, n_steps)
        if box.compiled is None:
            box.note(box.clock() - begin, n_steps)
        return losses

    def _new_box(self) -> Gearbox:
        first = self._present[0]
        return Gearbox(first.plan, [m.parts for m in self._present], self._schedule, self._on_shift, "stacked, ")

    def _present_stepper(self) -> BlockStepper:
        """What steps the present members; those that left are let go whenever half of them have."""
        training = self._in_training()
        if self._stepper is None or len(training) * 2 <= len(self._present):
            assert len({member.step for member in training}) == 1, "the members of a stack stand at one step"
            for member in training:
                if self._stepper is not None:
                    self._stepper.state.release(member.parts)
            if len(training) != len(self._present):  # compiled steps are for so many members
                self._present = training
                self.box = self._new_box()
            self._stepper = self._new_stepper(training)
        return self._stepper

    def _new_stepper(self, members: Sequence[Member]) -> BlockStepper:
        parts, streams = [member.parts for member in members], [member.stream for member in members]
        state = StackedState([m.plan for m in members], parts, streams, members[0].step, self._chunk_elements)
        rows = StackedRows(parts, [member.solo.batches for member in members], self._schedule)

        def begin_epoch() -> None:
            for member in self._in_training():
                member.solo.batches.begin_epoch()
            rows.begin_epoch()

        def after_step() -> bool:
            changed = [member.solo.took_step() for member in self._in_training()]  # every member counts its step
            return any(changed)

        optimizers = [member.parts.optimizer for member in members]
        return BlockStepper(self.box, state, optimizers, self._schedule, begin_epoch, rows.at, after_step)
