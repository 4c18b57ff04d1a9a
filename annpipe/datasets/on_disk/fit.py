"""How do transforms learn from rows that are never all in memory? Step by step, from a passage of the train rows each.

A transform that `learns_in_blocks` is given every row by `partial_fit(x)`, then `finish()`, and learns what `fit` would
learn of all. Another one is fitted on a sample of the train rows, which is all of them where they are few enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from annpipe.backend.streams import drawing, generator
from annpipe.contract import Dataset, Fields
from annpipe.datasets.on_disk.split import Cut, Survey
from annpipe.datasets.transforms import Step, faults_at, keeps, made_step, matrix, n_categories, recoded, together
from annpipe.draft.component import Component
from annpipe.draft.transforms import Transforming, grouped

MOST_ROWS = 1_000_000  # of a sample that a transform is fitted on,
MOST_NUMBERS = 2**25  # and so many numbers in all

State = dict[str, torch.Tensor]


@dataclass
class _Chain:
    """Columns and the steps that they go through; `x` is what arrives of the survey's sample."""

    names: tuple[str, ...]
    components: Sequence[Component]
    counts: list[int]
    x: torch.Tensor
    is_target: bool = False
    steps: list[Step] = field(default_factory=list)
    is_ended: bool = False

    def next_step(self) -> Step | None:
        """The next step that learns from rows, made; None at the end, and from where steps go with each batch."""
        if self.is_ended or len(self.steps) == len(self.components):
            return None
        component = self.components[len(self.steps)]
        with faults_at(component, self.names):
            step = made_step(component, self.counts)
        self.is_ended = step.is_inside
        return None if self.is_ended else step

    def arriving(self, rows: Dataset) -> torch.Tensor:
        """What the steps so far make of rows."""
        x = matrix(rows.targets if self.is_target else rows.inputs, self.names)
        for step in self.steps:
            x = step.given(x)
        return x

    def add(self, step: Step) -> None:
        """A step that has learnt."""
        with faults_at(step.component, self.names):
            self.x = step.given(self.x)
        self.counts = self.counts if keeps(step.component) else [0] * self.x.shape[1]
        self.steps.append(step)


def learnt(
    transforms: Sequence[Transforming],
    fields: Fields,
    parts: Cut,
    seen: Survey,
    seed: int,
    stacks: Sequence[Sequence[str]],
) -> list[State | None]:
    """What each step has learnt, in the order in which `fit_columns` asks; None for one that goes with each batch."""
    chains = _chains(transforms, fields, seen.samples.train, stacks)
    with drawing(seed, "columns"):
        while waiting := [(chain, step) for chain in chains if (step := chain.next_step()) is not None]:
            _learn(waiting, parts, seen, generator(seed, "sample"))
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
        _Chain(taken, steps, n_categories(sample, taken, fields), matrix(sample.inputs, taken))
        for stack in stacks or [list(fields.inputs)]
        for steps, taken in together(groups, stack)
    ]


def _states(chain: _Chain) -> Iterator[State | None]:
    yield from (step.module.state_dict() for step in chain.steps)
    yield from (None for _ in chain.components[len(chain.steps) :])


def _learn(waiting: Sequence[tuple[_Chain, Step]], parts: Cut, seen: Survey, draw: torch.Generator) -> None:
    """One passage, from which the next step of every chain learns."""
    in_blocks = [(chain, step) for chain, step in waiting if _learns_in_blocks(step)]
    at_once = [(chain, step) for chain, step in waiting if not _learns_in_blocks(step)]
    chosen = _drawn(parts.counts["train"], sum(chain.x.shape[1] for chain, _ in at_once), draw)
    samples: list[list[torch.Tensor]] = [[] for _ in at_once]
    passed = 0
    for rows in train_rows(parts, seen):
        for chain, step in in_blocks:
            with faults_at(step.component, chain.names):
                _module(step).partial_fit(chain.arriving(rows))
        if at_once:
            first, last = torch.searchsorted(chosen, torch.tensor([passed, passed + rows.rows])).tolist()
            for (chain, _), pieces in zip(at_once, samples, strict=True):
                pieces.append(chain.arriving(rows)[chosen[first:last] - passed])
        passed += rows.rows
    for chain, step in in_blocks:
        with faults_at(step.component, chain.names):
            _module(step).finish()
    for (chain, step), pieces in zip(at_once, samples, strict=True):
        with faults_at(step.component, chain.names):
            _module(step).fit(torch.cat(pieces))


def _learns_in_blocks(step: Step) -> bool:
    return bool(getattr(step.module, "learns_in_blocks", False))


def _module(step: Step) -> Any:
    return step.module


def _drawn(rows: int, columns: int, draw: torch.Generator) -> torch.Tensor:
    """Rising positions of the rows to sample: all where they are few enough."""
    most = min(MOST_ROWS, MOST_NUMBERS // max(1, columns))
    if rows <= most or not columns:
        return torch.arange(rows if columns else 0)
    return torch.randperm(rows, generator=draw)[:most].sort().values


def train_rows(parts: Cut, seen: Survey) -> Iterator[Dataset]:
    """The rows of the train split, block by block, with the categories that it has."""
    for block in parts.passage():
        if "train" in block:
            yield recoded(block["train"], seen.positions)


class Recalling:
    """Gives each step, as `fit_columns` asks, what it has learnt; one that goes with each batch sees the sample."""

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
