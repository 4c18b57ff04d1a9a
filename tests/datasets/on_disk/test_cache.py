"""Rows on disk and the results of the passes come back as they were written, or not at all."""

from __future__ import annotations

from pathlib import Path

import torch

from annpipe.datasets.on_disk.cache import checksums_match, on_disk_rows, read_results, write_rows
from annpipe.datasets.on_disk.passes import ChunkPasses, PassResults
from annpipe.datasets.on_disk.split import assign_rows, summarize
from annpipe.datasets.steps.splits import split_dataset
from annpipe.datasets.steps.tensors import Rows, to_tensors
from annpipe.spec.sections.models import Split
from tests.datasets.tables import chunked, table

CPU = torch.device("cpu")
SPLIT = Split(val=0.25)


def written(folder: Path) -> PassResults:
    """The results of passes whose rows were written to the folder."""
    assignment = assign_rows(chunked(table()), SPLIT, seed=1)
    states = [{"mean": torch.tensor([0.5], dtype=torch.float64)}, None]
    results = PassResults(assignment.counts, summarize(assignment), states)

    def as_rows(part: object) -> Rows:
        return to_tensors(part, CPU, torch.float64, classes=True)  # type: ignore[arg-type]  # a Dataset

    write_rows(folder, ChunkPasses(assignment, results), as_rows)
    return results


def test_rows_are_those_of_the_split_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "rows" / "key"
    results = written(folder)
    kept = read_results(folder)
    assert kept is not None
    assert kept[0].counts == results.counts
    assert kept[0].states[1] is None
    assert torch.equal((kept[0].states[0] or {})["mean"], torch.tensor([0.5], dtype=torch.float64))
    for name, part in split_dataset(table(), SPLIT, 1).by_name.items():
        rows = on_disk_rows(folder, kept[1], CPU)[name]
        x, y = rows.empty(len(rows))
        rows.read([(0, len(rows))], x, y)
        expected = to_tensors(part, CPU, torch.float64, classes=True)
        torch.testing.assert_close(x, expected.x, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(y, expected.y)


def test_nothing_else_is_left_in_the_folder_above(tmp_path: Path) -> None:
    folder = tmp_path / "rows" / "key"
    written(folder)
    assert {path.name for path in folder.parent.iterdir()} == {"key"}


def test_damage_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "rows" / "key"
    written(folder)
    kept = read_results(folder)
    assert kept is not None
    assert checksums_match(folder, kept[1])
    data = bytearray((folder / "train.x").read_bytes())
    data[3] ^= 1
    (folder / "train.x").write_bytes(data)
    assert not checksums_match(folder, kept[1])
    (folder / "train.x").write_bytes(data[:-1])
    assert read_results(folder) is None, "its size is another one"
