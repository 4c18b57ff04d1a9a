"""What the passes over chunked data find, kept from planning to training so that the data are not read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from annpipe.datasets.on_disk.split import DataSummary, SplitAssignment

State = dict[str, torch.Tensor]
"""What a transform has fitted: its parameters and buffers by name."""


@dataclass(frozen=True)
class PassResults:
    """The number of rows of each part, the summary of all rows, and the states of the transforms.

    `states` has one for each step in the order in which `fit_columns` fits them; None for a step inside the model.
    """

    counts: Mapping[str, int]
    summary: DataSummary
    states: Sequence[State | None]


@dataclass(frozen=True)
class ChunkPasses:
    """Which part of the split each row belongs to, and what the passes over all rows found."""

    assignment: SplitAssignment
    results: PassResults


class PassCache:
    """The passes over the data that were asked for last; one cache serves all plans of a sweep."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._passes: ChunkPasses | None = None

    def get(self, key: str, read: Callable[[], ChunkPasses]) -> ChunkPasses:
        """The passes under this key, otherwise those that `read` makes."""
        if self._passes is None or key != self._key:
            self._key, self._passes = key, read()
        return self._passes

    def clear(self) -> None:
        """Frees the memory of the passes; they are made again when they are asked for."""
        self._key = self._passes = None
