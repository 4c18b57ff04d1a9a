"""Blocks + split → which part each row belongs to, and what one passage tells of the parts: samples and categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from annpipe.contract import Blocks, Dataset, Field
from annpipe.datasets.leaks import class_counts
from annpipe.datasets.splits import NAMES, Splits, split_rows
from annpipe.datasets.transforms import new_positions, present, recoded
from annpipe.spec.sections.models import Split

SAMPLE = 10_000  # rows of each part that figures, tables and examples are made of


@dataclass(frozen=True)
class Cut:
    """Blocks in parts: `place` has for each row the number of its part, (rows,) uint8; `counts` the rows of each."""

    blocks: Blocks
    place: torch.Tensor
    counts: Mapping[str, int]

    def passage(self) -> Iterator[dict[str, Dataset]]:
        """Every block cut in its parts, each in the order of the data; a part without a row is left out."""
        start = 0
        for block in self.blocks.passage():
            places = self.place[start : start + block.rows]
            start += block.rows
            if len(self.counts) == 1:
                yield {"train": block}
                continue
            rows = {name: (places == number).nonzero()[:, 0] for number, name in enumerate(NAMES)}
            yield {name: taken(block, chosen) for name, chosen in rows.items() if len(chosen)}


def cut(blocks: Blocks, split: Split, seed: int) -> Cut:
    """Cuts as `split_dataset` does, with no more than the columns in memory that the split asks for."""
    rows = split_rows(_needed(blocks, {*split.columns, *([split.stratify] if split.stratify else ())}), split, seed)
    place = torch.zeros(blocks.rows, dtype=torch.uint8)
    for number, name in enumerate(NAMES):
        place[rows[name]] = number
    return Cut(blocks, place, {name: len(rows[name]) for name in NAMES if len(rows[name])})


def _needed(blocks: Blocks, names: set[str]) -> Dataset:
    """All columns, of which only the named ones have their values; the others take no memory."""
    head = blocks.head()
    roles = (head.inputs, head.targets, head.aside)
    found: dict[str, list[torch.Tensor]] = {name: [] for role in roles for name in role if name in names}
    if found:
        for block in blocks.passage():
            every = {**block.inputs, **block.targets, **block.aside}
            for name, pieces in found.items():
                pieces.append(every[name].clone())
    whole = {name: torch.cat(found.pop(name)) for name in list(found)}

    def column(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return whole[name] if name in whole else tensor.new_zeros(()).expand(blocks.rows)

    inputs, targets, aside = ({name: column(name, tensor) for name, tensor in role.items()} for role in roles)
    return Dataset(inputs, targets, categories=head.categories, aside=aside)


@dataclass(frozen=True)
class Survey:
    """What one passage tells: `samples` of up to SAMPLE rows of each part, at equal distances; for each input of
    categories the `positions` that they have where only those of train are known (-1 for others); and for each target
    of classes how many rows of each part are of each class, `classes`.
    """

    samples: Splits
    positions: Mapping[str, torch.Tensor]
    classes: Mapping[str, Mapping[str, torch.Tensor]]


def survey(parts: Cut) -> Survey:
    """Looks at every row once."""
    fields = parts.blocks.fields
    coded = {name: len(field.categories) for name, field in fields.inputs.items() if field.type == "category"}
    has = {name: torch.zeros(count, dtype=torch.bool) for name, count in coded.items()}
    classes = {
        name: {part: torch.zeros(n, dtype=torch.int64) for part in parts.counts}
        for name, n in {name: n_classes(field) for name, field in fields.targets.items()}.items()
        if n
    }
    samples = {name: Sampling(evenly(count, SAMPLE)) for name, count in parts.counts.items()}
    for block in parts.passage():
        for name, part in block.items():
            samples[name].take(part)
            for target, counts in classes.items():
                counts[name] += class_counts(part.targets[target], len(counts[name]))
        for name, seen in has.items() if "train" in block else ():
            seen |= present(block["train"].inputs[name], len(seen))
    positions = {name: new_positions(seen) for name, seen in has.items()}
    known = {name: recoded(sampling.taken(), positions) for name, sampling in samples.items()}
    return Survey(Splits(known["train"], known.get("val"), known.get("test")), positions, classes)


def n_classes(field: Field) -> int:
    """How many classes a target has by name, 0 where it holds numbers."""
    return len(field.categories)


def evenly(rows: int, most: int) -> torch.Tensor:
    """Up to so many positions of rows, from the first to the last at equal distances."""
    return torch.linspace(0, rows - 1, min(rows, most), dtype=torch.float64).round().long()


class Sampling:
    """Rows at chosen positions of a part, which passes in blocks; `positions` rise."""

    def __init__(self, positions: torch.Tensor) -> None:
        self._positions, self._passed = positions, 0
        self._pieces: list[Dataset] = []

    def take(self, part: Dataset) -> None:
        """Takes those of the next rows that were chosen."""
        bounds = torch.tensor([self._passed, self._passed + part.rows])
        first, last = torch.searchsorted(self._positions, bounds).tolist()
        if last > first:
            self._pieces.append(taken(part, self._positions[first:last] - self._passed))
        self._passed += part.rows

    def taken(self) -> Dataset:
        """All rows that were taken."""
        first = self._pieces[0]
        inputs, targets, aside = (
            {name: torch.cat([getattr(piece, role)[name] for piece in self._pieces]) for name in getattr(first, role)}
            for role in ("inputs", "targets", "aside")
        )
        return replace(first, inputs=inputs, targets=targets, aside=aside)


def taken(block: Dataset, rows: torch.Tensor) -> Dataset:
    """The chosen rows of a block; numpy takes them from short columns in a fraction of torch's time."""
    chosen = rows.numpy()
    inputs, targets, aside = (
        {name: torch.from_numpy(tensor.numpy()[chosen]) for name, tensor in role.items()}
        for role in (block.inputs, block.targets, block.aside)
    )
    return replace(block, inputs=inputs, targets=targets, aside=aside)
