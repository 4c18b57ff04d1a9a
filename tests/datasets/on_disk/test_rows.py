"""Rows on disk are read back as they were written, in their order or by ranges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.errors import RunError


@pytest.fixture
def rows(tmp_path: Path) -> OnDiskRows:
    x, y = torch.arange(30.0).reshape(10, 3), torch.arange(10)
    (tmp_path / "train.x").write_bytes(x.numpy().tobytes())
    (tmp_path / "train.y").write_bytes(y.numpy().tobytes())
    return OnDiskRows(tmp_path / "train", 10, ((3,), torch.float32), ((), torch.int64), torch.device("cpu"))


def test_chunks_are_the_rows_in_their_order(rows: OnDiskRows) -> None:
    chunks = [(x.clone(), y) for x, y in rows.iter_chunks(4)]
    assert [len(x) for x, _ in chunks] == [4, 4, 2]
    assert torch.equal(torch.cat([x for x, _ in chunks]), torch.arange(30.0).reshape(10, 3))
    assert torch.equal(torch.cat([y for _, y in chunks]), rows.y)


def test_ranges_are_read_one_after_the_other(rows: OnDiskRows) -> None:
    x, y = rows.empty(5)
    assert rows.read([(7, 9), (0, 1)], x, y) == 3
    assert y[:3].tolist() == [7, 8, 0]
    assert x[:3, 0].tolist() == [21.0, 24.0, 0.0]
    assert rows.row_bytes == 3 * 4 + 8


def test_a_file_that_is_too_short_names_its_folder(rows: OnDiskRows, tmp_path: Path) -> None:
    (tmp_path / "train.x").write_bytes(b"\0" * 20)
    with pytest.raises(RunError, match="end too early; delete their folder"):
        rows.read([(0, 10)], *rows.empty(10))
