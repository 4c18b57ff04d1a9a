"""What the passes over chunked data find, kept from planning to training so that the data are not read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
