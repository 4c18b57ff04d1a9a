"""The gears beside the eager one: compiled steps on the CPU, graphed ones on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from annpipe.train.gears.compiled.cuda_graph import GraphedSteps
from annpipe.train.gears.compiled.steps import CallSteps, CompiledSteps, compiling
from annpipe.train.gears.compiled.worth import MOST_STEPS, Cost, capturing_cost, compiling_cost
from annpipe.train.gears.stacked.state import StackedState

MOST_GRAPHED_STEPS = 64  # a call: what a replay and its copies cost is then little beside its steps
MOST_ROW_BYTES = 2**26  # of the rows that a graph keeps copies of: steps on more have enough to do one by one
Make = Callable[[StackedState, int, torch.Tensor, int, bool], CallSteps]
"""(state, steps a call, x of a step, threads, whether each step sees the same rows) -> steps."""


@dataclass(frozen=True)
class GearKind:
    """A gear that takes several steps a call: its words in record and messages, and how it is made, inside `making`.

    The rows of a call have `most_row_bytes` at most, where steps see different ones. `n_calls` are the calls that the
    check takes at least; `cost` is what making it costs where nothing is known; `minds_threads` whether the number of
    threads makes a difference to it.
    """

    word: str
    made: str
    refused: str
    most_steps: int
    most_row_bytes: int | None
    n_calls: int
    make: Make
    making: Callable[[], AbstractContextManager[None]]
    cost: Cost
    minds_threads: bool

    def most_steps_of(self, row_bytes: int) -> int:
        """The most steps of a call, where the rows of each have so many bytes; 0 where all see the same."""
        if self.most_row_bytes is None or not row_bytes:
            return self.most_steps
        return max(1, min(self.most_steps, self.most_row_bytes // row_bytes))


def _compiled(state: StackedState, n_steps: int, x: torch.Tensor, threads: int, is_full: bool) -> CallSteps:
    return CompiledSteps(state, n_steps, x, threads=threads)


def _graphed(state: StackedState, n_steps: int, x: torch.Tensor, threads: int, is_full: bool) -> CallSteps:
    return GraphedSteps(state, n_steps, x, shares_rows=is_full)


COMPILED = GearKind(
    word="compiled",
    made="compiled the step",
    refused="its step is not compiled",
    most_steps=MOST_STEPS,
    most_row_bytes=None,
    n_calls=1,
    make=_compiled,
    making=compiling,
    cost=compiling_cost,
    minds_threads=True,
)
GRAPHED = GearKind(
    word="graphed",
    made="captured the steps as a CUDA graph",
    refused="its steps are not captured as a CUDA graph",
    most_steps=MOST_GRAPHED_STEPS,
    most_row_bytes=MOST_ROW_BYTES,
    n_calls=2,  # what is not taken in anew shows at the second
    make=_graphed,
    making=nullcontext,
    cost=capturing_cost,
    minds_threads=False,
)
KINDS: Mapping[str, GearKind] = {"cpu": COMPILED, "cuda": GRAPHED}
"""By the type of the device; others have the eager gear alone."""
