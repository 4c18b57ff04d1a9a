"""The rows that each member of a stack sees at a step; equal data are kept once, each member has its own order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from annpipe.datasets.steps.tensors import Rows
from annpipe.train.batches.in_memory import Batches
from annpipe.train.batches.on_disk import OnDiskBatches
from annpipe.train.parts import Parts
from annpipe.train.schedule import Schedule


class StackedRows:
    """The train rows of all members."""

    def __init__(self, parts: Sequence[Parts], batches: Sequence[Batches | OnDiskBatches], schedule: Schedule) -> None:
        rows = [rows for member in parts if isinstance(rows := member.rows["train"], Rows)]  # those in files go alone
        self._batches = [order for order in batches if isinstance(order, Batches)]
        self._schedule, self._n_rows = schedule, len(rows[0])
        self._x, self._y = _Table([of.x for of in rows]), _Table([of.y for of in rows])
        self._is_ordered = False
        if not self._batches[0].is_full:
            self.begin_epoch()

    def begin_epoch(self) -> None:
        """Takes the orders that the members have drawn."""
        orders = [batches.order for batches in self._batches]
        if any(order is not None for order in orders):
            unshuffled = torch.arange(self._n_rows, device=self._x.device)
            chosen = torch.stack([unshuffled if order is None else order for order in orders])
            for table in (self._x, self._y):
                table.order(chosen)
            self._is_ordered = True

    def at(self, batch_index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """x and y of a batch of the epoch, from 0, (members, rows, …)."""
        if self._batches[0].is_full:
            return self._x.all_rows(), self._y.all_rows()
        begin = batch_index * self._schedule.step_rows
        end = min(begin + self._schedule.step_rows, self._n_rows)
        if not self._is_ordered:
            return self._x.all_rows()[:, begin:end], self._y.all_rows()[:, begin:end]
        return self._x.chosen(begin, end), self._y.chosen(begin, end)


class _Table:
    """Tensors of the same shape, (rows, …), one a member; equal ones are kept once."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        kept: dict[bytes, torch.Tensor] = {}
        keys = [_digest(tensor) for tensor in tensors]
        for key, tensor in zip(keys, tensors, strict=True):
            kept.setdefault(key, tensor)
        numbers = {key: number for number, key in enumerate(kept)}
        self.device, self._shape, self._n_members = tensors[0].device, tensors[0].shape, len(tensors)
        self._is_one = len(kept) == 1
        self._tables = tensors[0] if self._is_one else torch.stack(list(kept.values()))  # (tables, rows, …)
        self._table_numbers = torch.tensor([numbers[key] for key in keys], device=self.device)
        self._flat = self._tables if self._is_one else self._tables.flatten(0, 1)
        self._order = torch.empty(0)
        self._all_rows: torch.Tensor | None = None

    def all_rows(self) -> torch.Tensor:
        """All rows of each member."""
        if self._all_rows is None:
            is_one = self._is_one
            tables = self._tables
            self._all_rows = (
                tables.expand(self._n_members, *self._shape) if is_one else tables.index_select(0, self._table_numbers)
            )
        return self._all_rows

    def order(self, rows: torch.Tensor) -> None:
        """Each member sees the rows with these numbers, (members, rows), one after another."""
        self._order = rows if self._is_one else rows + self._table_numbers[:, None] * self._shape[0]

    def chosen(self, begin: int, end: int) -> torch.Tensor:
        """Some rows in that order, (members, rows, …)."""
        rows = self._order[:, begin:end]
        return self._flat.index_select(0, rows.reshape(-1)).view(*rows.shape, *self._shape[1:])


def _digest(tensor: torch.Tensor) -> bytes:
    numbers = tensor.detach().cpu().contiguous()
    return hashlib.sha256(numbers.view(-1).view(torch.uint8).numpy().tobytes()).digest()
