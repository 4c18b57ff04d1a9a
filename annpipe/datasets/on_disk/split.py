"""Chunked data + split → the part of each row, and a summary of all rows: samples, categories and class counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from annpipe.contract import ChunkedDataset, Dataset
from annpipe.datasets.steps.categories import class_counts, new_positions, present, recoded
from annpipe.datasets.steps.splits import NAMES, Splits, split_rows
from annpipe.spec.sections.models import Split

SAMPLE = 10_000  # rows of each part that figures, tables and examples are made of


@dataclass(frozen=True)
class SplitAssignment:
    """Chunked data and the part of the split of each row.

    `parts` is (rows,) uint8, the position of the row's part in `NAMES`; `counts` has the number of rows of each part.
    """

    data: ChunkedDataset
    parts: torch.Tensor
    counts: Mapping[str, int]

    def iter_chunks(self) -> Iterator[dict[str, Dataset]]:
        """Every chunk by its parts, rows in the order of the data; a part without rows is left out."""
        start = 0
        for chunk in self.data.iter_chunks():
            parts = self.parts[start : start + chunk.rows]
            start += chunk.rows
            if len(self.counts) == 1:
                yield {"train": chunk}
                continue
            rows = {name: (parts == number).nonzero()[:, 0] for number, name in enumerate(NAMES)}
            yield {name: rows_at(chunk, positions) for name, positions in rows.items() if len(positions)}


def assign_rows(data: ChunkedDataset, split: Split, seed: int) -> SplitAssignment:
    """Splits as `split_dataset` does; of the columns only those that the split needs are held in memory."""
    names = {*split.columns, *([split.stratify] if split.stratify else ())}
    rows = split_rows(_with_columns(data, names), split, seed)
    parts = torch.zeros(data.rows, dtype=torch.uint8)
    for number, name in enumerate(NAMES):
        parts[rows[name]] = number
    return SplitAssignment(data, parts, {name: len(rows[name]) for name in NAMES if len(rows[name])})


def _with_columns(data: ChunkedDataset, names: set[str]) -> Dataset:
    """All columns, of which only the named ones have their values; the others take no memory."""
    head = data.head()
    roles = (head.inputs, head.targets, head.aside)
    pieces: dict[str, list[torch.Tensor]] = {name: [] for role in roles for name in role if name in names}
    if pieces:
        for chunk in data.iter_chunks():
            tensors = {**chunk.inputs, **chunk.targets, **chunk.aside}
            for name in pieces:
                pieces[name].append(tensors[name].clone())
    whole = {name: torch.cat(pieces.pop(name)) for name in list(pieces)}

    def column(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return whole[name] if name in whole else tensor.new_zeros(()).expand(data.rows)

    inputs, targets, aside = ({name: column(name, tensor) for name, tensor in role.items()} for role in roles)
    return Dataset(inputs, targets, categories=head.categories, aside=aside)


@dataclass(frozen=True)
class DataSummary:
    """What one pass over all rows finds.

    `samples` has up to SAMPLE rows of each part, at equal distances. `positions` has for each input of categories the
    positions of its categories where only those of train are known, -1 for the others. `classes` has for each target
    of classes, and for each part, how many rows are of each class.
    """

    samples: Splits
    positions: Mapping[str, torch.Tensor]
    classes: Mapping[str, Mapping[str, torch.Tensor]]


def summarize(assignment: SplitAssignment) -> DataSummary:
    """Reads every row once."""
    fields = assignment.data.fields
    n_categories = {name: len(field.categories) for name, field in fields.inputs.items() if field.type == "category"}
    in_train = {name: torch.zeros(count, dtype=torch.bool) for name, count in n_categories.items()}
    classes = {
        name: {part: torch.zeros(len(field.categories), dtype=torch.int64) for part in assignment.counts}
        for name, field in fields.targets.items()
        if field.categories
    }
    samples = {name: Sampling(evenly(count, SAMPLE)) for name, count in assignment.counts.items()}
    for chunk in assignment.iter_chunks():
        for name, part in chunk.items():
            samples[name].add(part)
            for target, counts in classes.items():
                counts[name] += class_counts(part.targets[target], len(counts[name]))
        for name, has in in_train.items() if "train" in chunk else ():
            has |= present(chunk["train"].inputs[name], len(has))
    positions = {name: new_positions(has) for name, has in in_train.items()}
    parts = {name: recoded(sampling.rows(), positions) for name, sampling in samples.items()}
    return DataSummary(Splits(parts["train"], parts.get("val"), parts.get("test")), positions, classes)


def evenly(rows: int, most: int) -> torch.Tensor:
    """Up to `most` positions of rows, from the first to the last at equal distances."""
    return torch.linspace(0, rows - 1, min(rows, most), dtype=torch.float64).round().long()


class Sampling:
    """The rows at chosen positions of a part that arrives in chunks; `positions` are in rising order."""

    def __init__(self, positions: torch.Tensor) -> None:
        self._positions, self._n_passed = positions, 0
        self._pieces: list[Dataset] = []

    def add(self, part: Dataset) -> None:
        """Keeps the chosen ones of the next rows."""
        bounds = torch.tensor([self._n_passed, self._n_passed + part.rows])
        first, last = torch.searchsorted(self._positions, bounds).tolist()
        if last > first:
            self._pieces.append(rows_at(part, self._positions[first:last] - self._n_passed))
        self._n_passed += part.rows

    def rows(self) -> Dataset:
        """All rows that were kept."""
        first = self._pieces[0]
        inputs, targets, aside = (
            {name: torch.cat([getattr(piece, role)[name] for piece in self._pieces]) for name in getattr(first, role)}
            for role in ("inputs", "targets", "aside")
        )
        return replace(first, inputs=inputs, targets=targets, aside=aside)


def rows_at(chunk: Dataset, positions: torch.Tensor) -> Dataset:
    """The rows of a chunk at some positions; numpy takes them from short columns in a fraction of torch's time."""
    chosen = positions.numpy()
    inputs, targets, aside = (
        {name: torch.from_numpy(tensor.numpy()[chosen]) for name, tensor in role.items()}
        for role in (chunk.inputs, chunk.targets, chunk.aside)
    )
    return replace(chunk, inputs=inputs, targets=targets, aside=aside)
