"""Rows of one part of the split that lie in files: read in their order, or the rows that are asked for.

They are read into memory, never mapped: what is resident is what is used at the time. Only `y` is mapped as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import torch

from annpipe.errors import RunError

Layout = tuple[tuple[int, ...], torch.dtype]
"""The shape of one row, and the dtype of its numbers."""


@dataclass(frozen=True)
class StoredRows:
    """`<file>.x` and `<file>.y` hold x and y of `n_rows` rows one after the other; they are given on the device."""

    file: Path
    n_rows: int
    x_layout: Layout
    y_layout: Layout
    device: torch.device

    def __len__(self) -> int:
        return self.n_rows

    @property
    def dtype(self) -> torch.dtype:
        """That of x."""
        return self.x_layout[1]

    @property
    def row_bytes(self) -> int:
        """Of x and y of one row."""
        return _row_bytes(self.x_layout) + _row_bytes(self.y_layout)

    @property
    def y(self) -> torch.Tensor:
        """The targets of all rows, mapped: the system may take their memory back."""
        shape, dtype = self.y_layout
        mapped = np.memmap(f"{self.file}.y", dtype=np.uint8, mode="c", shape=(self.n_rows * _row_bytes(self.y_layout),))
        return torch.from_numpy(mapped).view(dtype).view(self.n_rows, *shape)

    def empty(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Room for so many rows, x and y."""
        return (
            torch.empty(rows, *self.x_layout[0], dtype=self.x_layout[1]),
            torch.empty(rows, *self.y_layout[0], dtype=self.y_layout[1]),
        )

    def blocks(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """x and y in the order of the rows, so many at a time. On the CPU x is good until the next ones are read."""
        room, _ = self.empty(min(size, self.n_rows))
        for begin in range(0, self.n_rows, size):
            end = min(begin + size, self.n_rows)
            x, y = room[: end - begin], self.empty(end - begin)[1]
            self.read([(begin, end)], x, y)
            yield x.to(self.device), y.to(self.device)

    def read(self, ranges: Sequence[tuple[int, int]], x: torch.Tensor, y: torch.Tensor) -> int:
        """Reads ranges of rows, one behind the other, to the beginning of x and y, and tells how many there are."""
        for ending, into, layout in (("x", x, self.x_layout), ("y", y, self.y_layout)):
            with FileIO(f"{self.file}.{ending}") as file:
                done = 0
                for begin, end in ranges:
                    file.seek(begin * _row_bytes(layout))
                    _fill(file, into[done : done + end - begin])
                    done += end - begin
        return done


def _row_bytes(layout: Layout) -> int:
    return math.prod(layout[0]) * layout[1].itemsize


def _fill(file: FileIO, into: torch.Tensor) -> None:
    room: memoryview = into.view(-1).view(torch.uint8).numpy().data
    while room:
        count = file.readinto(room)
        if not count:
            message = f"the rows kept in '{file.name!s}' end too early: delete their folder, and they are made again"
            raise RunError(message)
        room = room[count:]
