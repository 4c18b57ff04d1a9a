"""Predictions are written block by block; the file is there when all of them are, and not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

from annpipe.errors import NotFound, RunError
from annpipe.saved.writing import OutputFile, check_ending

BLOCKS = (
    {"y": np.array([1.5, np.nan]), "kind": np.array(["a", None], dtype=object)},
    {"y": np.array([2.0]), "kind": np.array(["b, c"], dtype=object)},
)


def write(path: Path, blocks: Sequence[Mapping[str, Any]]) -> None:
    """Writes all blocks into one file."""
    with OutputFile(path) as output:
        for block in blocks:
            output.write(block)
            assert not path.exists() or path.read_text() == "before"


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_blocks_become_one_table(ending: str, tmp_path: Path) -> None:
    """In a folder that is made for it; what is missing stays missing."""
    path = tmp_path / "new" / f"out{ending}"
    write(path, BLOCKS)
    table = pd.read_csv(path) if ending == ".csv" else pd.read_parquet(path)
    assert table["kind"].fillna("").tolist() == ["a", "", "b, c"]
    assert table["y"].fillna(-1).tolist() == [1.5, -1.0, 2.0]
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_arrays_keep_their_shape(tmp_path: Path) -> None:
    """In a NumPy archive alone; a table has no room for them."""
    path = tmp_path / "out.npz"
    write(path, [{"y": np.ones((n, 2, 2))} for n in (2, 1)])
    with np.load(path) as archive:
        assert archive["y"].shape == (3, 2, 2)
    with pytest.raises(RunError, match=r"write `-o answers\.npz`"):
        write(tmp_path / "out.csv", [{"y": np.ones((1, 2, 2))}])
    assert not (tmp_path / "out.csv").exists()


def test_after_an_error_there_is_no_file(tmp_path: Path) -> None:
    """Nor a part of one; one that was there stays as it was."""
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(RunError, match="no table has"):
        write(path, [BLOCKS[0], {"y": np.ones((1, 2))}])
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kind_of_file_that_is_not_written_is_told_first() -> None:
    """Before anything is computed; standard output has no kind."""
    with pytest.raises(NotFound, match=r"written as \.csv, \.parquet or \.npz"):
        check_ending(Path("a.xlsx"))
    check_ending(Path("A.CSV"))
    check_ending(None)
