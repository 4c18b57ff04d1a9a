"""Takes the steps of stacked runs: compiled blocks of steps where the gearbox has them, single steps between them.

A run by itself is a stack of one. What follows a step, as a scheduler's own step, is left to the gear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from annpipe.train.gears.compiled.gearbox import Gearbox
from annpipe.train.gears.compiled.steps import StepInputs, state_of
from annpipe.train.gears.compiled.verify import Compiled, option_table
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.schedule import Schedule

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass
class BlockStepper:
    """Steps `state`, whose members have these `optimizers`.

    `begin_epoch` draws the order of the coming epoch; `batch_at` gives x and y, (members, rows, …), of a batch of it;
    `after_step` counts a step for each member, and tells whether a scheduler changed the options of an optimizer.
    """

    box: Gearbox
    state: StackedState
    optimizers: Sequence[torch.optim.Optimizer]
    schedule: Schedule
    begin_epoch: Callable[[], None]
    batch_at: Callable[[int], Batch]
    after_step: Callable[[], bool]
    _table: list[torch.Tensor] = field(default_factory=list, init=False)
    _has_present_options: bool = field(default=False, init=False)

    def options_changed(self) -> None:
        """To be called when the options of an optimizer, as its learning rate, were changed outside `take`."""
        self._table = []
        self._has_present_options = False

    def take(self, step: int, n_steps: int) -> torch.Tensor:
        """Takes `n_steps` steps after `step` are done -> the losses, (steps, members), or the values and divisors of
        their terms, (steps, members, 2K); fewer where no member has finite gradients any more."""
        losses, last = list[torch.Tensor](), step + n_steps
        while step < last:
            compiled = self.box.compiled
            if compiled is not None and self.box.begins_block(step, last - step):
                losses.append(self._block(compiled, step))
            else:
                losses.append(self._single(step).unsqueeze(0))
            step += len(losses[-1])
            if len(self.state.broken) == len(self.optimizers):
                break
        self.state.count(step)
        return torch.cat(losses)

    def _single(self, step: int) -> torch.Tensor:
        """One step that is not compiled, by the same formulas: the losses, (members,)."""
        x, y = self._next_batch(step)
        if not self._has_present_options:
            self.state.read_options()
            self._has_present_options = True
        losses = self.state.step(x, y, step + 1)
        self._after_step()
        return losses

    def _block(self, compiled: Compiled, step: int) -> torch.Tensor:
        """Compiled steps: the losses, (steps, members)."""
        batches, tables = list[Batch](), list[list[torch.Tensor]]()
        for number in range(self.box.groups.steps_per_call):
            if not self._table:
                self._table = option_table(self.optimizers, self.state.optimizer.hyperparameters)
            tables.append(self._table)
            batches.append(self._next_batch(step + number))
            self._after_step()
        if self.schedule.is_full_batch:
            batches = batches[:1]
        table = [torch.stack(group) for group in zip(*tables, strict=True)]  # (steps, options, members) of each group
        xs, ys = [x for x, _ in batches], [y for _, y in batches]
        return compiled.steps(state_of(self.state), StepInputs(xs, ys, table, step + 1))

    def _next_batch(self, step: int) -> Batch:
        batch_index = step % self.schedule.steps_per_epoch
        if batch_index == 0:
            self.begin_epoch()
        return self.batch_at(batch_index)

    def _after_step(self) -> None:
        if self.after_step():
            self.options_changed()
