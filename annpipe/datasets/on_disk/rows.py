"""The rows of one part of the split in files, read in their order or by ranges.

They are read into memory, not mapped: only the rows in use take memory. Only `y` is mapped as a whole.
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
class OnDiskRows:
    """The files `<file>.x` and `<file>.y` with x and y of `n_rows` rows, row after row; read to the device."""

    file: Path
    n_rows: int
    x_layout: Layout
    y_layout: Layout
    device: torch.device

    def __len__(self) -> int:
        return self.n_rows

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of x."""
        return self.x_layout[1]

    @property
    def row_bytes(self) -> int:
        """The bytes of x and y of one row."""
        return _row_bytes(self.x_layout) + _row_bytes(self.y_layout)

    @property
    def y(self) -> torch.Tensor:
        """The targets of all rows, mapped: the system may take their memory back."""
        shape, dtype = self.y_layout
        mapped = np.memmap(f"{self.file}.y", dtype=np.uint8, mode="c", shape=(self.n_rows * _row_bytes(self.y_layout),))
        return torch.from_numpy(mapped).view(dtype).view(self.n_rows, *shape)

    def empty(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Uninitialized x and y of so many rows, on the CPU."""
        return (
            torch.empty(rows, *self.x_layout[0], dtype=self.x_layout[1]),
            torch.empty(rows, *self.y_layout[0], dtype=self.y_layout[1]),
        )

    def iter_chunks(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """x and y in the order of the rows, `size` rows at a time; on the CPU the next chunk overwrites x."""
        buffer, _ = self.empty(min(size, self.n_rows))
        for begin in range(0, self.n_rows, size):
            end = min(begin + size, self.n_rows)
            x, y = buffer[: end - begin], self.empty(end - begin)[1]
            self.read([(begin, end)], x, y)
            yield x.to(self.device), y.to(self.device)

    def read(self, ranges: Sequence[tuple[int, int]], x: torch.Tensor, y: torch.Tensor) -> int:
        """Reads ranges of rows one after the other into the first rows of x and y; returns the number of rows."""
        for suffix, out, layout in (("x", x, self.x_layout), ("y", y, self.y_layout)):
            with FileIO(f"{self.file}.{suffix}") as file:
                done = 0
                for begin, end in ranges:
                    file.seek(begin * _row_bytes(layout))
                    _fill(file, out[done : done + end - begin])
                    done += end - begin
        return done


def _row_bytes(layout: Layout) -> int:
    return math.prod(layout[0]) * layout[1].itemsize


def _fill(file: FileIO, out: torch.Tensor) -> None:
    rest: memoryview = out.view(-1).view(torch.uint8).numpy().data
    while rest:
        count = file.readinto(rest)
        if not count:
            message = f"the rows kept in '{file.name!s}' end too early; delete their folder, and they are written again"
            raise RunError(message)
        rest = rest[count:]
