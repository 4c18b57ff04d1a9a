"""Small datasets for tests, in memory and in chunks."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from annpipe.contract import ChunkedDataset, Dataset, Field, Fields

WORDS = ("a", "b", "c")


def table(rows: int = 60) -> Dataset:
    """A number, a category with missing values, a number for the split, and a target of classes."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(rows, generator=draw, dtype=torch.float64)
    word = torch.randint(3, (rows,), generator=draw).double()
    word[::7] = torch.nan
    day = torch.arange(rows, dtype=torch.float64).flip(0)
    kind = torch.randint(2, (rows,), generator=draw)
    categories = {"word": WORDS, "kind": ("no", "yes")}
    return Dataset({"x": x, "word": word}, {"kind": kind}, categories=categories, aside={"day": day})


def fields_of_table(rows: int = 60) -> Fields:
    """The fields of `table`."""
    inputs = {"x": Field(), "word": Field(type="category", categories=WORDS)}
    targets = {"kind": Field((), "int", 2, "category", ("no", "yes"))}
    return Fields(inputs, targets, rows, in_blocks=True)


def rows_of(dataset: Dataset, start: int, stop: int) -> Dataset:
    """Some rows of a dataset."""
    inputs, targets, aside = (
        {name: tensor[start:stop] for name, tensor in role.items()}
        for role in (dataset.inputs, dataset.targets, dataset.aside)
    )
    return Dataset(inputs, targets, categories=dataset.categories, aside=aside)


def chunked(dataset: Dataset, size: int = 8) -> ChunkedDataset:
    """The same rows in chunks."""

    def chunks() -> Iterator[Dataset]:
        for start in range(0, dataset.rows, size):
            yield rows_of(dataset, start, start + size)

    return ChunkedDataset(fields_of_table(dataset.rows), "digest", chunks)
