"""Fits transforms to rows that are never all in memory: step by step, each from one pass over the train rows.

A transform with `learns_in_blocks` gets every row by `partial_fit(x)`, then `finish()`, and fits what `fit` would fit
to all rows. Any other is fitted to a sample of the train rows, which is all of them where they are few enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from annpipe.backend.streams import drawing, generator
from annpipe.contract import Dataset, Fields
from annpipe.datasets.on_disk.passes import State
from annpipe.datasets.on_disk.split import DataSummary, SplitAssignment
from annpipe.datasets.steps.categories import n_categories, recoded
from annpipe.datasets.steps.faults import checked_output, faults_at
from annpipe.datasets.steps.transforms import Step, keeps_categories, make_step, matrix, together
from annpipe.draft.component import Component
from annpipe.draft.transforms import Transforming, grouped

MOST_ROWS = 1_000_000  # of a sample that a transform is fitted to,
MOST_NUMBERS = 2**25  # and so many numbers in all


@dataclass
class _Chain:
    """Columns and the steps that they go through; `x` is the summary's sample after the steps so far."""

    names: tuple[str, ...]
    components: Sequence[Component]
    counts: list[int]
    x: torch.Tensor
    is_target: bool = False
    steps: list[Step] = field(default_factory=list)
    is_complete: bool = False

    def next_step(self) -> Step | None:
        """The next step that is fitted to rows; None at the end, and from the first step inside the model on."""
        if self.is_complete or len(self.steps) == len(self.components):
            return None
        component = self.components[len(self.steps)]
        with faults_at(component, self.names):
            step = make_step(component, self.counts)
        self.is_complete = step.is_inside
        return None if self.is_complete else step

    def after_steps(self, rows: Dataset) -> torch.Tensor:
        """The columns of these rows after the steps so far."""
        x = matrix(rows.targets if self.is_target else rows.inputs, self.names)
        for step in self.steps:
            x = step.apply(x)
        return x

    def add(self, step: Step) -> None:
        """Adds a fitted step."""
        with faults_at(step.component, self.names):
            out = step.apply(self.x)
        self.x = checked_output(step.component, self.x, out, self.names)
        self.counts = self.counts if keeps_categories(step.component) else [0] * self.x.shape[1]
        self.steps.append(step)


def fit_in_chunks(
    transforms: Sequence[Transforming],
    fields: Fields,
    assignment: SplitAssignment,
    summary: DataSummary,
    seed: int,
    stacks: Sequence[Sequence[str]],
) -> list[State | None]:
    """The state of each fitted step, in the order in which `fit_columns` fits them; None for one inside the model."""
    chains = _chains(transforms, fields, summary.samples.train, stacks)
    with drawing(seed, "columns"):
        while waiting := [(chain, step) for chain in chains if (step := chain.next_step()) is not None]:
            _fit_steps(waiting, assignment, summary, generator(seed, "sample"))
            for chain, step in waiting:
                chain.add(step)
    return [state for chain in chains for state in _states(chain)]


def _chains(
    transforms: Sequence[Transforming], fields: Fields, sample: Dataset, stacks: Sequence[Sequence[str]]
) -> list[_Chain]:
    groups = grouped(transforms, fields)
    targets = [
        _Chain((name,), groups.targets[name].steps, [0], matrix(sample.targets, [name]), is_target=True)
        for name in fields.targets
        if name in groups.targets
    ]
    return targets + [
        _Chain(names, steps, n_categories(sample, names, fields), matrix(sample.inputs, names))
        for stack in stacks or [list(fields.inputs)]
        for steps, names in together(groups, stack)
    ]


def _states(chain: _Chain) -> Iterator[State | None]:
    yield from (step.module.state_dict() for step in chain.steps)
    yield from (None for _ in chain.components[len(chain.steps) :])


def _fit_steps(
    waiting: Sequence[tuple[_Chain, Step]], assignment: SplitAssignment, summary: DataSummary, draw: torch.Generator
) -> None:
    """Fits the next step of every chain in one pass over the train rows."""
    in_chunks = [(chain, step) for chain, step in waiting if _fits_in_chunks(step)]
    at_once = [(chain, step) for chain, step in waiting if not _fits_in_chunks(step)]
    chosen = _sampled(assignment.counts["train"], sum(chain.x.shape[1] for chain, _ in at_once), draw)
    samples: list[list[torch.Tensor]] = [[] for _ in at_once]
    n_passed = 0
    for rows in train_rows(assignment, summary):
        for chain, step in in_chunks:
            with faults_at(step.component, chain.names):
                _module(step).partial_fit(chain.after_steps(rows))
        if at_once:
            first, last = torch.searchsorted(chosen, torch.tensor([n_passed, n_passed + rows.rows])).tolist()
            for (chain, _), pieces in zip(at_once, samples, strict=True):
                pieces.append(chain.after_steps(rows)[chosen[first:last] - n_passed])
        n_passed += rows.rows
    for chain, step in in_chunks:
        with faults_at(step.component, chain.names):
            _module(step).finish()
    for (chain, step), pieces in zip(at_once, samples, strict=True):
        with faults_at(step.component, chain.names):
            _module(step).fit(torch.cat(pieces))


def _fits_in_chunks(step: Step) -> bool:
    return bool(getattr(step.module, "learns_in_blocks", False))


def _module(step: Step) -> Any:
    """The module as a transform, whose methods torch.nn.Module does not have."""
    return step.module


def _sampled(rows: int, columns: int, draw: torch.Generator) -> torch.Tensor:
    """The positions of the rows to sample, in rising order: all where they are few enough."""
    most = min(MOST_ROWS, MOST_NUMBERS // max(1, columns))
    if rows <= most or not columns:
        return torch.arange(rows if columns else 0)
    return torch.randperm(rows, generator=draw)[:most].sort().values


def train_rows(assignment: SplitAssignment, summary: DataSummary) -> Iterator[Dataset]:
    """The rows of the train split, chunk by chunk, with the categories of that split."""
    for chunk in assignment.iter_chunks():
        if "train" in chunk:
            yield recoded(chunk["train"], summary.positions)


class FittedStates:
    """Loads into each step, in the order of `fit_columns`, the state that `fit_in_chunks` fitted.

    A step inside the model has no state and is fitted to the sample.
    """

    def __init__(self, states: Sequence[State | None]) -> None:
        self._states = iter(states)

    def __call__(self, module: Any, x: torch.Tensor) -> None:
        state = next(self._states)
        if state is None:
            module.fit(x)
            return
        for name in state:
            path, _dot, leaf = name.rpartition(".")
            module.get_submodule(path).register_buffer(leaf, torch.empty_like(state[name]))
        module.load_state_dict(state)
