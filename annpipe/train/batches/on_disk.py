"""The batches of rows in files, shuffled at two levels, so that files are read in long pieces.

The rows are cut in chunks of neighbours. For each epoch the order of the chunks is drawn; as many of them as fit
are read into a buffer, and the rows in the buffer are shuffled. While one buffer is trained on, the next one is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch

from annpipe.backend.streams import generator
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.train.schedule import Schedule

CHUNK_BYTES = 2**20
BUFFER_BYTES = 2**27  # two of them are held


@dataclass(frozen=True)
class Epoch:
    """The order of an epoch: for each buffer the numbers of its chunks, and a seed for the order within."""

    buffers: tuple[tuple[int, ...], ...]
    seeds: tuple[int, ...]


def drawn_epoch(n_chunks: int, chunks_each: int, draw: torch.Generator | None) -> Epoch:
    """Draws the order of chunks, divides them evenly among as few buffers as hold them, and draws a seed for each.

    Without a generator chunks keep their order.
    """
    order = torch.arange(n_chunks) if draw is None else torch.randperm(n_chunks, generator=draw)
    count = -(-n_chunks // chunks_each)
    seeds = () if draw is None else tuple(torch.randint(2**62, (count,), generator=draw).tolist())
    return Epoch(tuple(tuple(part.tolist()) for part in torch.tensor_split(order, count)), seeds)


@dataclass
class _Buffer:
    """Rows in memory, and the order in which they are taken; None where it is their own."""

    x: torch.Tensor
    y: torch.Tensor
    order: torch.Tensor | None = None

    def rows(self, begin: int, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Some of them, apart from the buffer."""
        if self.order is None:
            return self.x[begin:end].clone(), self.y[begin:end].clone()
        chosen = self.order[begin:end]
        return self.x.index_select(0, chosen), self.y.index_select(0, chosen)


class OnDiskBatches:
    """The batches of rows in files; deterministic from the stream `shuffle` at the start of the epoch."""

    def __init__(self, rows: OnDiskRows, schedule: Schedule, seed: int, *, shuffle: bool) -> None:
        self._rows, self._size, self._shuffle = rows, schedule.step_rows, shuffle
        self._chunk = max(1, CHUNK_BYTES // rows.row_bytes)
        self._chunks_each = max(1, BUFFER_BYTES // (self._chunk * rows.row_bytes))
        self._generator = generator(seed, "shuffle")
        self._epoch_start = self._generator.get_state()
        self._epoch = Epoch((), ())
        self._batches: Iterator[tuple[torch.Tensor, torch.Tensor]] | None = None
        self._next_index = 0
        self._memory: list[tuple[torch.Tensor, torch.Tensor]] = []

    def begin_epoch(self) -> None:
        """Draws the order of the coming epoch."""
        self._epoch_start = self._generator.get_state()
        n_chunks = -(-len(self._rows) // self._chunk)
        self._epoch = drawn_epoch(n_chunks, self._chunks_each, self._generator if self._shuffle else None)
        self._batches = None

    def at(self, batch_index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch of the epoch by its index, from 0: x (rows, …), y (rows, …). Best asked for one after the other."""
        if self._batches is None or batch_index != self._next_index:
            self._batches = None  # ends the reading before another begins in its memory
            self._batches = self._from(batch_index * self._size)
        self._next_index = batch_index + 1
        x, y = next(self._batches)
        return x.to(self._rows.device), y.to(self._rows.device)

    def _from(self, row: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The batches of the epoch from one that begins with `row`; a batch may span buffers."""
        first = 0
        while row >= (count := sum(end - begin for begin, end in self._ranges(first))):
            row, first = row - count, first + 1
        pieces: list[tuple[torch.Tensor, torch.Tensor]] = []
        held = 0
        for buffer in self._buffers(first):
            while row < len(buffer.x):
                pieces.append(buffer.rows(row, row + self._size - held))
                row, held = row + len(pieces[-1][0]), held + len(pieces[-1][0])
                if held == self._size:
                    yield _joined(pieces)
                    pieces, held = [], 0
            row = 0
        if pieces:
            yield _joined(pieces)

    def _ranges(self, number: int) -> list[tuple[int, int]]:
        """The rows of a buffer's chunks, from and to."""
        starts = [chunk * self._chunk for chunk in self._epoch.buffers[number]]
        return [(start, min(start + self._chunk, len(self._rows))) for start in starts]

    def _buffers(self, first: int) -> Iterator[_Buffer]:
        """The buffers of the epoch from `first` on; the next one is read meanwhile."""
        last = len(self._epoch.buffers) - 1
        with ThreadPoolExecutor(1, thread_name_prefix="rows") as reader:
            ahead = reader.submit(partial(self._filled, first))
            for number in range(first, last + 1):
                buffer = ahead.result()
                if number < last:
                    ahead = reader.submit(partial(self._filled, number + 1))
                yield buffer

    def _filled(self, number: int) -> _Buffer:
        """A buffer read and its order drawn; two pieces of memory serve in turn."""
        while len(self._memory) < min(2, len(self._epoch.buffers)):
            most = max(map(len, self._epoch.buffers)) * self._chunk
            self._memory.append(self._rows.empty(min(most, len(self._rows))))
        x, y = self._memory[number % len(self._memory)]
        count = self._rows.read(self._ranges(number), x, y)
        order = None
        if self._shuffle:
            order = torch.randperm(count, generator=torch.Generator().manual_seed(self._epoch.seeds[number]))
        return _Buffer(x[:count], y[:count], order)

    def close(self) -> None:
        """Lets go of the rows that were read; the next batch reads them again."""
        self._batches, self._memory = None, []

    def state(self, *, mid_epoch: bool) -> torch.Tensor:
        """The shuffle stream before the order of the present epoch is drawn, or of the next one between two epochs."""
        return self._epoch_start if mid_epoch else self._generator.get_state()

    def load_state(self, state: torch.Tensor, *, mid_epoch: bool) -> None:
        self._generator.set_state(state)
        self._epoch_start = state
        if mid_epoch:
            self.begin_epoch()


def _joined(pieces: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    if len(pieces) == 1:
        return pieces[0]
    xs, ys = zip(*pieces, strict=True)
    return torch.cat(xs), torch.cat(ys)
