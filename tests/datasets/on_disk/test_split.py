"""The split of chunked data is that of the same rows in memory, and its summary is of all rows."""

from __future__ import annotations

import pytest
import torch

from annpipe.contract import Dataset
from annpipe.datasets.on_disk import split as on_disk_split
from annpipe.datasets.on_disk.split import Sampling, assign_rows, evenly, summarize
from annpipe.datasets.steps.splits import split_dataset
from annpipe.spec.sections.models import Split
from tests.datasets.tables import chunked, rows_of, table

SPLITS = [
    Split(),
    Split(val=0.2, test=0.1),
    Split(val=0.2, test=0.2, order="day"),
    Split(val=0.3, stratify="kind"),
]


@pytest.mark.parametrize("split", SPLITS)
def test_each_row_goes_to_the_part_that_it_has_in_memory(split: Split) -> None:
    whole = table()
    assignment = assign_rows(chunked(whole), split, seed=3)
    parts = split_dataset(whole, split, 3).by_name
    assert dict(assignment.counts) == {name: part.rows for name, part in parts.items()}
    pieces: dict[str, list[Dataset]] = {name: [] for name in parts}
    for chunk in assignment.iter_chunks():
        for name, part in chunk.items():
            pieces[name].append(part)
    for name, part in parts.items():
        for role in ("inputs", "targets", "aside"):
            for column, tensor in getattr(part, role).items():
                read = torch.cat([getattr(piece, role)[column] for piece in pieces[name]])
                torch.testing.assert_close(read, tensor, rtol=0, atol=0, equal_nan=True)


def test_only_the_columns_that_the_split_needs_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Dataset] = []
    split_rows = on_disk_split.split_rows
    monkeypatch.setattr(on_disk_split, "split_rows", lambda rows, *more: held.append(rows) or split_rows(rows, *more))
    assign_rows(chunked(table()), Split(val=0.2, order="day"), seed=0)
    storage = {name: tensor.untyped_storage().nbytes() for name, tensor in (held[0].inputs | held[0].aside).items()}
    assert storage == {"x": 8, "word": 8, "day": 60 * 8}


def test_the_summary_counts_classes_and_knows_the_categories_of_train() -> None:
    whole = table(24)
    whole.inputs["word"][:] = torch.tensor([0.0, 2.0] * 12, dtype=torch.float64)
    whole.inputs["word"][0] = 1.0  # "b", on the latest day: only the test split has it
    split = Split(test=0.25, order="day")
    summary = summarize(assign_rows(chunked(whole), split, seed=0))
    assert summary.samples.train.categories["word"] == ("a", "c")
    assert summary.positions["word"].tolist() == [0, -1, 1]
    assert summary.samples.test is not None
    assert summary.samples.test.inputs["word"].tolist() == [-1, 1, 0, 1, 0, 1]
    parts = split_dataset(whole, split, 0).by_name
    counts = {name: torch.bincount(part.targets["kind"], minlength=2).tolist() for name, part in parts.items()}
    assert {name: count.tolist() for name, count in summary.classes["kind"].items()} == counts


def test_a_sample_is_taken_at_equal_distances_across_chunks() -> None:
    whole = table(100)
    sampling = Sampling(evenly(100, 5))
    for start in range(0, 100, 8):
        sampling.add(rows_of(whole, start, start + 8))
    assert torch.equal(sampling.rows().inputs["x"], whole.inputs["x"][[0, 25, 50, 74, 99]])
