"""Steps of a stack in blocks and one by one: each step has its own rows and the rate of its time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from annpipe.train.gears.compiled.block_stepper import BlockStepper
from annpipe.train.gears.compiled.steps import StepInputs
from annpipe.train.gears.compiled.worth import step_groups
from annpipe.train.schedule import Schedule

BATCHES = Schedule(n_rows=29, step_rows=8, epochs=10, drop_last=False, look_every=None)  # blocks of 3, then 5 rows
FULL = Schedule(n_rows=8, step_rows=8, epochs=16, drop_last=False, look_every=None)


class Recorded:
    """A stack of two members that notes its steps; at each the learning rate halves, as by a scheduler."""

    def __init__(self, schedule: Schedule, *, is_compiled: bool, breaks_at: int | None = None) -> None:
        self.steps: list[tuple[str, int, list[float], list[float]]] = []
        self.epochs, self.counted, self.breaks_at = 0, 0, breaks_at
        self.groups: list[Any] = []
        self.broken: dict[int, int] = {}
        self.optimizer = SimpleNamespace(hyperparameters=("lr",))
        self.optimizers = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr) for lr in (1.0, 3.0)]
        self.present: list[float] = []
        self.n_read = 0
        groups = step_groups(schedule)
        box = SimpleNamespace(
            compiled=SimpleNamespace(steps=self.block) if is_compiled else None,
            groups=groups,
            begins_block=lambda step, n: groups.steps_at(step) == groups.steps_per_call <= n,
        )
        stack: Any = self
        self.stepper = BlockStepper(
            box,  # type: ignore[arg-type]  # what the stepper needs of it
            stack,
            self.optimizers,
            schedule,
            begin_epoch=self.begin_epoch,
            batch_at=lambda index: (torch.full((2, 1), float(index)), torch.full((2, 1), float(index))),
            after_step=self.halve,
        )

    def begin_epoch(self) -> None:
        self.epochs += 1

    def halve(self) -> bool:
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] /= 2
        return True

    def read_options(self) -> None:
        self.n_read += 1
        self.present = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]

    def step(self, x: torch.Tensor, y: torch.Tensor, number: int) -> torch.Tensor:
        self.steps.append(("single", number, [x[0].item()], self.present))
        if number == self.breaks_at:
            self.broken = {0: number, 1: number}
        return torch.full((2,), float(number))

    def block(self, state: object, inputs: StepInputs) -> torch.Tensor:
        number, rates = inputs.step, inputs.table[0][:, 0]
        self.steps += [
            ("block", number + i, [x[0].item() for x in inputs.xs], rate.tolist()) for i, rate in enumerate(rates)
        ]
        return torch.arange(float(number), number + len(rates)).unsqueeze(1).expand(-1, 2)

    def count(self, step: int) -> None:
        self.counted = step


def test_every_step_has_its_rows_and_its_rate() -> None:
    """Two epochs of four batches, begun after the first step; a block that does not fit is taken one by one."""
    recorded = Recorded(BATCHES, is_compiled=True)
    losses = torch.cat([recorded.stepper.take(0, 1), recorded.stepper.take(1, 9)])
    assert torch.equal(losses, torch.arange(1.0, 11).unsqueeze(1).expand(-1, 2))
    assert [(kind, number) for kind, number, *_ in recorded.steps] == [
        *(("single", number) for number in (1, 2, 3, 4)),
        *(("block", number) for number in (5, 6, 7)),
        *(("single", number) for number in (8, 9, 10)),
    ]
    for kind, number, batches, rates in recorded.steps:
        assert batches == ([0.0, 1.0, 2.0] if kind == "block" else [float((number - 1) % 4)])
        assert rates == [0.5 ** (number - 1), 3 * 0.5 ** (number - 1)]
    assert (recorded.epochs, recorded.counted) == (3, 10)


def test_a_block_of_all_rows_gets_them_once() -> None:
    """Each of its steps sees the same ones, and is an epoch."""
    recorded = Recorded(FULL, is_compiled=True)
    size = recorded.stepper.box.groups.steps_per_call
    recorded.stepper.take(0, size)
    assert {tuple(batches) for _, _, batches, _ in recorded.steps} == {(0.0,)}
    assert recorded.epochs == size


@pytest.mark.parametrize("is_changed", [True, False])
def test_options_are_read_again_when_they_change(is_changed: bool) -> None:
    """By a scheduler, or by who says so from outside; else they are read once."""
    recorded = Recorded(BATCHES, is_compiled=False)
    recorded.stepper.after_step = lambda: is_changed
    recorded.stepper.take(0, 5)
    assert recorded.n_read == (5 if is_changed else 1)
    recorded.stepper.options_changed()
    recorded.stepper.take(5, 1)
    assert recorded.n_read == (6 if is_changed else 2)


def test_a_rate_changed_from_outside_is_in_the_next_block() -> None:
    """The table of options is made anew."""
    recorded = Recorded(BATCHES, is_compiled=True)
    recorded.stepper.after_step = lambda: False
    recorded.stepper.take(0, 3)
    for optimizer in recorded.optimizers:
        optimizer.param_groups[0]["lr"] = 0.25
    recorded.stepper.options_changed()
    recorded.stepper.take(4, 3)
    assert [rates for _, _, _, rates in recorded.steps] == [[1.0, 3.0]] * 3 + [[0.25, 0.25]] * 3


def test_it_ends_when_no_member_is_left() -> None:
    """The step whose gradients were not finite is the last."""
    recorded = Recorded(BATCHES, is_compiled=False, breaks_at=3)
    losses = recorded.stepper.take(0, 9)
    assert len(losses) == 3
    assert recorded.counted == 3
