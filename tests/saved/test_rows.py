"""Rows of files as blocks of columns; a file that cannot be read is told by what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annpipe.errors import DataError, NotFound
from annpipe.portable.cell_text import CellFormat
from annpipe.saved.cells import NUMBERS, FileColumn
from annpipe.saved.rows import TableFormat, read_blocks

X, TOWN = FileColumn("x", NUMBERS), FileColumn("town", categories=("Bern", "NA"))


def columns(path: Path, wanted: list[FileColumn], reading: TableFormat | None = None) -> list[list[object]]:
    """All of a file, column by column."""
    blocks = list(read_blocks(str(path), wanted, reading or TableFormat()))
    return [np.concatenate(parts).tolist() for parts in zip(*blocks, strict=True)]


def test_columns_come_by_name_in_the_order_that_is_wanted(tmp_path: Path) -> None:
    """A category may be called what stands for a missing value elsewhere."""
    path = tmp_path / "a.csv"
    path.write_text("town,z,x\nBern,1,1.5\nNA,2,NA\n")
    values, towns = columns(path, [X, TOWN])
    assert towns == ["Bern", "NA"]
    assert values[0] == 1.5
    assert np.isnan(np.array(values[1], dtype=float))


def test_tables_are_read_as_the_runs_own_were_written(tmp_path: Path) -> None:
    """Delimiter, decimal comma and names, as model.json keeps them."""
    reading = TableFormat.of({"delimiter": ";", "decimal": ",", "names": ["x", "town"]})
    assert reading == TableFormat(";", CellFormat(decimal=","), ("x", "town"))
    (tmp_path / "a.csv").write_text("1,5;Bern\n")
    assert columns(tmp_path / "a.csv", [X, TOWN], reading) == [[1.5], ["Bern"]]
    assert TableFormat.of({}) == TableFormat()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "x,town\n", "has no rows"),
        ("a.csv", "x,towns\n1,Bern\n", "lacks the column 'town'"),
        ("a.csv", "x,town,x\n1,Bern,2\n", "has two columns 'x'"),
        ("a.csv", "x,town\nmuch,Bern\n", "'much' in row 1 of the column 'x' is not a number"),
        ("a.csv", "x,town\ninf,Bern\n", "row 1 of the column 'x' is not a finite number"),
        ("a.npz", "no archive", "cannot be read"),
        ("a.parquet", "no parquet", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(name: str, text: str, message: str, tmp_path: Path) -> None:
    """With the place, where it is one cell's."""
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        list(read_blocks(str(tmp_path / name), [X, TOWN], TableFormat()))


def test_a_file_that_is_not_there_has_near_names(tmp_path: Path) -> None:
    """And a kind that is not read is told as one."""
    (tmp_path / "rows.csv").write_text("x\n1\n")
    with pytest.raises(NotFound, match=r"did you mean 'rows\.csv'"):
        list(read_blocks(str(tmp_path / "row.csv"), [X], TableFormat()))
    (tmp_path / "rows.xlsx").write_text("x")
    with pytest.raises(NotFound, match=r"rows are read from \.csv, \.parquet, \.jsonl and \.npz"):
        list(read_blocks(str(tmp_path / "rows.xlsx"), [X], TableFormat()))
