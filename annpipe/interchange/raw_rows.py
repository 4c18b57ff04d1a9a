"""Rows that an exported file and `annpipe predict` are both asked about: the run's own, or the model's example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annpipe.contract import Dataset
from annpipe.portable.description import ModelColumn, ModelDescription
from annpipe.portable.network import BOOLEAN, WHOLE
from annpipe.saved.check import raw_cells

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

MOST_ROWS = 10_000
MOST_COLUMNS = 50  # of which a row with a missing cell, and one with an unknown word, are added
UNKNOWN = "annpipe: a word that no category has"


@dataclass(frozen=True)
class RawRows:
    """Cells by column as a file of rows has them, (rows, …) each, and in words where they come from."""

    cells: Mapping[str, Array]
    source: str

    def __len__(self) -> int:
        return len(next(iter(self.cells.values())))


def rows_of_splits(splits: Iterable[tuple[str, Dataset | None]]) -> RawRows:
    """Rows of the splits by name, at equal distances where there are more than ten thousand."""
    there = [(name, split) for name, split in splits if split is not None and split.rows]
    total = sum(split.rows for _, split in there)
    columns: dict[str, list[Array]] = {}
    for _, split in there:
        n = max(1, min(split.rows, split.rows * MOST_ROWS // total))
        at = torch.linspace(0, split.rows - 1, n).round().long()
        for name, tensor in split.inputs.items():
            columns.setdefault(name, []).append(raw_cells(tensor[at], split.categories.get(name, ())))
    return RawRows(
        {name: np.concatenate(parts) for name, parts in columns.items()}, " and ".join(name for name, _ in there)
    )


def rows_of_example(description: ModelDescription) -> RawRows | None:
    """The rows that model.json has as an example; None in models of versions that had none."""
    if not description.inputs_example:
        return None
    cells = {column.name: _cells(column, description.inputs_example[column.name]) for column in description.inputs}
    return RawRows(cells, "model.json, its example: the run's own data cannot be made again")


def _cells(column: ModelColumn, values: Sequence[Any]) -> Array:
    if column.categories:
        return np.array(values, dtype=object)
    return np.array(values, dtype=np.int64 if column.type in WHOLE else np.float64)


def with_odd_rows(rows: RawRows, inputs: Sequence[ModelColumn]) -> RawRows:
    """The rows, and for each column a copy of the first with a missing cell, and one with an unknown word."""
    odd: list[tuple[str, object]] = []
    for column in [column for column in inputs if not column.shape and column.type not in WHOLE][:MOST_COLUMNS]:
        odd.append((column.name, None if column.categories else np.nan))
        if column.categories and column.type != BOOLEAN:  # of a boolean, `predict` refuses such a word
            odd.append((column.name, UNKNOWN))
    cells = {}
    for name, values in rows.cells.items():
        added = np.repeat(values[:1], len(odd), axis=0)
        for at, (changed, cell) in enumerate(odd):
            if changed == name:
                added[at] = cell
        cells[name] = np.concatenate([values, added])
    copies = f", of which {len(odd)} are copies with a missing or an unknown cell" if odd else ""
    return RawRows(cells, f"{rows.source}{copies}")
