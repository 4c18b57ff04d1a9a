"""`csv` and `parquet` with `in_memory: false`: the same columns, types and reports as of a table in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet as parquet_files

from annpipe import ChunkedDataset, OptionError
from annpipe_std.csv_data import csv, parquet
from annpipe_std.tables import sources
from annpipe_std.tables.fields import csv_fields, parquet_fields


@pytest.fixture(autouse=True)
def small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, some hundred bytes of text at a time, seven rows a block."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "TEXT_BYTES", 300)
    monkeypatch.setattr(sources, "MOST_ROWS", 7)


def table(rows: int = 100) -> pd.DataFrame:
    """Columns of every type; what some of them are is told by a late row alone."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "number": random.normal(size=rows) * 10.0 ** random.integers(-9, 9, rows),
            "whole": random.integers(-9, 9, rows),
            "late_fraction": [*range(rows - 1), 0.5],
            "late_word": [*map(str, random.integers(0, 2, rows - 12)), *["x"] * 12],
            "word": random.choice(["u", "v", "w"], rows),
            "truth": random.choice(["yes", "no"], rows),
            "y": random.normal(size=rows),
        }
    )
    frame["late_number"] = [None] * (rows - 1) + [3.0]
    frame.loc[random.random(rows) < 0.2, ["number", "word"]] = None
    return frame


def same(whole: Any, blocks: Any) -> None:
    assert isinstance(blocks, ChunkedDataset)
    passed = list(blocks.passage())
    assert len(passed) > 3
    for role in ("inputs", "targets", "aside"):
        assert list(getattr(whole, role)) == list(getattr(passed[0], role))
        for name, column in getattr(whole, role).items():
            joined = torch.cat([getattr(block, role)[name] for block in passed])
            assert joined.dtype == column.dtype
            assert torch.equal(joined.nan_to_num(nan=-99.0), column.nan_to_num(nan=-99.0)), name
    assert all(block.categories == whole.categories for block in passed)


OPTIONS: list[dict[str, Any]] = [
    {"target": "y"},
    {"target": ["y", "whole"], "features": ["late_*", "word"]},
    {"target": "word", "drop_missing": "word", "ignore": "late_number"},
    {"target": "y", "drop_missing": ["number", "word"], "types": {"whole": "category", "truth": "category"}},
    {"target": "truth", "types": {"late_fraction": "number"}, "aside": ("late_word", "whole")},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: str(sorted(options)))
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_are_those_of_the_table_in_memory(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    file = tmp_path / f"t.{kind}"
    table().to_csv(file, index=False) if kind == "csv" else table().to_parquet(file)
    made: Callable[..., Any] = csv if kind == "csv" else parquet
    same(made(files=file, **options), made(files=file, in_memory=False, **options))
    fields = csv_fields if kind == "csv" else parquet_fields
    of_whole, of_blocks = fields(files=file, **options), fields(files=file, in_memory=False, **options)
    assert (of_blocks.inputs, of_blocks.targets, of_blocks.rows) == (of_whole.inputs, of_whole.targets, of_whole.rows)
    assert of_blocks.in_blocks
    assert not of_whole.in_blocks


def test_files_of_other_types_and_orders_follow_one_another(tmp_path: Path) -> None:
    table(50).to_csv(tmp_path / "a1.csv", index=False)
    second = table(60)[["y", *table(60).columns.drop("y")]].assign(whole=lambda frame: frame["whole"] + 0.5, truth="no")
    second.to_csv(tmp_path / "a2.csv", index=False)
    options: Any = {"files": str(tmp_path / "a*.csv"), "target": "y"}
    same(csv(**options), csv(in_memory=False, **options))


def test_a_category_is_the_text_of_its_cell_in_every_file(tmp_path: Path) -> None:
    """Codes that are numbers in one file and words in the other, dates, times, booleans, and the word nan."""
    (tmp_path / "a1.csv").write_text("k,d,t,b,n,y\n" + "007,2020-01-01,8:30,TRUE,1,1\n 7 ,x,08:30,,nan,2\n" * 20)
    (tmp_path / "a2.csv").write_text("k,d,t,b,n,y\n" + '"x",2020-01-01 10:00,,true,2,3\n' * 20)
    options: Any = {"files": str(tmp_path / "a*.csv"), "target": "y", "missing": ["", "none"]}
    options["types"] = {"n": "category"}
    whole = csv(**options)
    same(whole, csv(in_memory=False, **options))
    assert whole.categories == {
        "k": ("007", "7", "x"),
        "d": ("2020-01-01", "2020-01-01 10:00", "x"),
        "t": ("08:30", "8:30"),
        "b": ("false", "true"),
        "n": ("1", "2", "nan"),
    }
    for in_memory in (True, False):
        with pytest.raises(OptionError, match=r"'nan' in row 2 of a1\.csv of the column 'n' is not a number"):
            csv(in_memory=in_memory, **options | {"types": {"n": "number"}})


def test_categories_of_parquet_files_of_several_types(tmp_path: Path) -> None:
    """Whole numbers of every width are exact, and one word whatever type holds them."""
    ids = [2**60, 2**60 + 1, 1, None] * 10
    for number, kind in enumerate((pa.int64(), pa.uint64(), pa.decimal128(30, 0), pa.string())):
        cells = [None if cell is None else str(cell) for cell in ids] if number == 3 else ids
        parquet_files.write_table(
            pa.table({"k": pa.array(cells, kind), "y": [0.5] * 40}), tmp_path / f"{number}.parquet"
        )
    parquet_files.write_table(pa.table({"k": [1.0, 1.5] * 20, "y": [0.5] * 40}), tmp_path / "4.parquet")
    options: Any = {"files": str(tmp_path / "*.parquet"), "target": "y", "types": {"k": "category"}}
    whole = parquet(**options)
    same(whole, parquet(in_memory=False, **options))
    assert whole.categories["k"] == ("1", "1.5", str(2**60), str(2**60 + 1))


def test_columns_that_parquet_keeps_as_a_dictionary(tmp_path: Path) -> None:
    frame = table().assign(word=lambda frame: frame["word"].astype("category"), truth=lambda f: f["truth"] == "yes")
    parquet_files.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet", row_group_size=30)
    same(
        parquet(files=tmp_path / "t.parquet", target="y"),
        parquet(files=tmp_path / "t.parquet", target="y", in_memory=False),
    )


def test_european_files_and_files_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "eu.csv").write_text("x;y\n" + "1,5;2\n-2,25;3\n" * 40, encoding="utf-8")
    eu: Any = {"files": tmp_path / "eu.csv", "target": "y", "delimiter": ";", "decimal": ","}
    same(csv(**eu), csv(in_memory=False, **eu))
    (tmp_path / "bare.csv").write_text("1,2\n3,-\n" * 40, encoding="utf-8")
    bare: Any = {"files": tmp_path / "bare.csv", "target": "a", "names": ["a", "b"], "missing": ["-"]}
    same(csv(**bare), csv(in_memory=False, **bare))


def rows(*cells: str, n: int = 60) -> str:
    """A table of two columns: n rows of numbers, then the given ones."""
    return "x,y\n" + "".join(f"{k},{k % 7}\n" for k in range(n)) + "".join(f"{cell}\n" for cell in cells)


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ragged": (rows("1,2,3", "4,5"), {}),
    "not a number": (rows("q,2", "3,4", "z,1"), {}),
    "not a number as said": (rows("q,2", "3,4"), {"types": {"x": "number"}}),
    "infinite": (rows("inf,2"), {}),
    "infinite word": (rows("inf,2", "q7,1", n=200), {"missing": ["q7"]}),
    "target missing": (rows("1,", "2,3"), {}),
    "target missing after dropping": (rows("1,", ",", "2,3"), {"drop_missing": "x"}),
    "all dropped": ("x,y\n" + ",1\n" * 50, {"drop_missing": "x"}),
    "text": ("x,y\n" + "".join(f"w{k},1\n" for k in range(120)), {}),
    "one class": ("x,y\n" + "1,a\n" * 60, {}),
    "neither true nor false": (rows("1,2"), {"types": {"x": "boolean"}}),
    "only a header": ("x,y\n", {}),
    "no header": ("1,2\n" * 60, {}),
    "semicolons": ("x;y\n" + "1;2\n" * 60, {"target": "x;y"}),
    "a name twice": ("x,x,y\n" + "1,2,3\n" * 60, {}),
    "no such column": (rows(), {"features": ["x", "z"]}),
    "no such type": (rows(), {"types": {"z": "number"}}),
    "the target twice": (rows(), {"features": ["y"]}),
    "long delimiter": (rows(), {"delimiter": ";;"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_told_in_the_same_words(tmp_path: Path, fault: str) -> None:
    text, options = FAULTS[fault]
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    told = []
    for in_memory in (True, False):
        with pytest.raises(OptionError) as caught:
            csv(**{"files": tmp_path / "t.csv", "target": "y", "in_memory": in_memory} | options)
        told.append((caught.value.option, caught.value.message, caught.value.help))
    assert told[0] == told[1]
    assert not list((tmp_path / "cache").rglob(".*.arrow")), "what was begun is left behind"


def test_differing_files_and_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "a1.parquet")
    table().drop(columns="whole").to_parquet(tmp_path / "a2.parquet")
    (tmp_path / "b.parquet").write_text("x,y\n1,2\n", encoding="utf-8")
    for files in ("a*.parquet", "b.parquet"):
        told = []
        for in_memory in (True, False):
            with pytest.raises(OptionError) as caught:
                parquet(files=str(tmp_path / files), target="y", in_memory=in_memory)
            told.append((caught.value.option, caught.value.message))
        assert told[0] == told[1]


def test_a_text_is_read_once_and_its_content_counts(tmp_path: Path) -> None:
    file, other = tmp_path / "t.csv", tmp_path / "other.csv"
    table().to_csv(file, index=False)
    options: Any = {"target": "y", "in_memory": False}
    first = csv(files=file, **options)
    (copy,) = (tmp_path / "cache").rglob("*.arrow")
    made = copy.stat().st_mtime_ns
    other.write_bytes(file.read_bytes())
    again = csv(files=other, **options)
    assert isinstance(first, ChunkedDataset)
    assert isinstance(again, ChunkedDataset)
    assert again.digest == first.digest, "the name of a file is no matter"
    assert copy.stat().st_mtime_ns == made
    file.write_text(file.read_text(encoding="utf-8").replace("yes", "no", 1), encoding="utf-8")
    changed = csv(files=file, **options)
    assert isinstance(changed, ChunkedDataset)
    assert changed.digest != first.digest
    less = csv(files=other, ignore="whole", **options)
    assert isinstance(less, ChunkedDataset)
    assert less.digest != first.digest
