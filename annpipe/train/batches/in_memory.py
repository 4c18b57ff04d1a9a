"""The batches of rows in memory, in an order that is shuffled anew each epoch."""

from __future__ import annotations

import torch

from annpipe.backend.streams import generator
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.steps.tensors import Rows
from annpipe.train.batches.on_disk import OnDiskBatches
from annpipe.train.schedule import Schedule


class Batches:
    """The order of rows: the whole split each step, or batches of an order drawn anew for each epoch."""

    def __init__(self, rows: Rows, schedule: Schedule, seed: int, *, shuffle: bool) -> None:
        self._rows, self._schedule, self._shuffle = rows, schedule, shuffle
        self._generator = generator(seed, "shuffle")
        self._epoch_start = self._generator.get_state()
        self._order: torch.Tensor | None = None
        self.is_full = schedule.step_rows >= len(rows)

    def begin_epoch(self) -> None:
        """Draws the order of the coming epoch."""
        if self._shuffle and not self.is_full:
            self._epoch_start = self._generator.get_state()
            self._order = torch.randperm(len(self._rows), generator=self._generator).to(self._rows.x.device)

    @property
    def order(self) -> torch.Tensor | None:
        """(rows,) the numbers of the rows in the order of this epoch; None: the order of the data."""
        return self._order

    def at(self, batch_index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch of the epoch by its index, from 0: x (rows, …), y (rows, …)."""
        if self.is_full:
            return self._rows.x, self._rows.y
        begin = batch_index * self._schedule.step_rows
        end = min(begin + self._schedule.step_rows, len(self._rows))
        if self._order is None:
            return self._rows.x[begin:end], self._rows.y[begin:end]
        chosen = self._order[begin:end]
        return self._rows.x.index_select(0, chosen), self._rows.y.index_select(0, chosen)

    def close(self) -> None:
        """Holds nothing of its own."""

    def state(self, *, mid_epoch: bool) -> torch.Tensor:
        """The shuffle stream before the order of the present epoch is drawn, or of the next one between two epochs."""
        return self._epoch_start if mid_epoch else self._generator.get_state()

    def load_state(self, state: torch.Tensor, *, mid_epoch: bool) -> None:
        self._generator.set_state(state)
        self._epoch_start = state
        if mid_epoch:
            self.begin_epoch()


def batches_of(rows: Rows | OnDiskRows, schedule: Schedule, seed: int, *, shuffle: bool) -> Batches | OnDiskBatches:
    if isinstance(rows, OnDiskRows):
        return OnDiskBatches(rows, schedule, seed, shuffle=shuffle)
    return Batches(rows, schedule, seed, shuffle=shuffle)
