"""Columns that look like something else: numbers with signs, numbers of rows. What is recommended does what is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest
import yaml

from annpipe import Dataset, OptionError
from annpipe_std.csv_data import csv
from annpipe_std.tables.fields import csv_fields, parquet_fields
from tests.conftest import CliHere

ROWS = 60
SIGNED: dict[str, tuple[list[str], list[float]]] = {
    "percent": (["1%", "2.5 %", "30%"], [1, 2.5, 30]),
    "currency": (["€2", "-€3.50", "€ 4", "5"], [2, -3.5, 4, 5]),
    "two currencies": (["$2", "£3", "¥4"], [2, 3, 4]),
    "code": (["EUR 2", "USD 3.5"], [2, 3.5]),
    "underscore": (["1_000", "12_345_678", "9"], [1000, 12345678, 9]),
    "comma": (["1,234.5", "12", "2,000"], [1234.5, 12, 2000]),
    "apostrophe": (["1'234.5", "12"], [1234.5, 12]),
    "blank": (["1 234", "12", "3\u202f456"], [1234, 12, 3456]),
    "german": (["1.234,5", "12", "2.000,25"], [1234.5, 12, 2000.25]),
    "decimal comma": (["1,5", "2,25", "3"], [1.5, 2.25, 3]),
    "unit": (["5 kg", "7.5kg", "6"], [5, 7.5, 6]),
    "degrees": (["20°C", "-3 °C"], [20, -3]),
    "dollars and cents": (["$1,234.50", "$5"], [1234.5, 5]),
}
WORDS = [
    *(
        ["A1", "B2"],
        ["Q1", "Q2"],
        ["10:00", "11:30"],
        ["1.2.3", "1.10.2"],
        ["1st", "2nd"],
    ),
    *(
        ["<5", ">10"],
        ["4G", "5G"],
        ["1/2", "3/4"],
        ["1-2", "3-4"],
        ["a", "b"],
        ["1%", "x", "y", "z"],
        ["192.168.1.1", "::1"],
    ),
]


def written(folder: Path, column: Sequence[str], n_rows: int = ROWS, name: str = "x") -> Path:
    cells = [column[row % len(column)] for row in range(n_rows)]
    frame = pd.DataFrame({name: cells, "other": [row % 7 / 2 for row in range(n_rows)], "y": range(3, n_rows + 3)})
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("markers", [["?"], ["-", "unknown"]])
def test_words_for_missing_numbers_are_told(
    markers: list[str], in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said as missing, the rest is numbers; a column of words with few numbers is left alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cells = [*(str(number / 2) for number in range(12)), *markers, *markers]
    options: dict[str, Any] = {"files": written(tmp_path, cells, 64), "target": "y", "in_memory": in_memory}
    (remark,) = csv_fields(**options).inputs["x"].remarks
    assert all(f"'{marker}'" in remark.message for marker in markers)
    missing, types = re.findall(r"`([^`]*)`", remark.help)
    field = csv_fields(**options, **yaml.safe_load(f"{{{missing}}}")).inputs["x"]
    assert (field.type, field.remarks, field.missing >= 8) == ("number", (), True)
    assert csv_fields(**options, **yaml.safe_load(f"{{{types}}}")).inputs["x"].remarks == ()
    options["files"] = written(tmp_path, ["1", "2", "3", *markers] * 4, 64)
    assert csv_fields(**options).inputs["x"].remarks == ()


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", SIGNED)
def test_numbers_with_signs_are_told_with_the_option_that_reads_them(
    kind: str, in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With that option they are those numbers, and nothing is told any more; nor where words are meant."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cells, numbers = SIGNED[kind]
    options: dict[str, Any] = {"files": written(tmp_path, cells), "target": "y", "in_memory": in_memory}
    field = csv_fields(**options).inputs["x"]
    assert field.type == "category"
    (remark,) = field.remarks
    assert not remark.is_leak
    assert any(f"'{cell}'" in remark.message for cell in cells)
    said, types = re.findall(r"`([^`]*)`", remark.help)
    options |= yaml.safe_load(f"{{{said}}}")
    field = csv_fields(**options).inputs["x"]
    assert (field.type, field.remarks) == ("number", ())
    made = csv(**options)
    column = made.inputs["x"] if in_memory else next(made.passage()).inputs["x"]  # type: ignore[union-attr]
    assert column.tolist()[: len(numbers)] == numbers
    words = {"files": options["files"], "target": "y", "in_memory": in_memory} | yaml.safe_load(f"{{{types}}}")
    assert csv_fields(**words).inputs["x"].remarks == ()


@pytest.mark.parametrize("words", WORDS, ids=str)
def test_words_are_no_numbers(words: list[str], tmp_path: Path) -> None:
    assert csv_fields(files=written(tmp_path, words), target="y").inputs["x"].remarks == ()


@pytest.mark.parametrize(
    ("words", "say"),
    [
        (["2020-01-01", "2020-02-01"], '`types: {"x": date}`, with'),
        (["31.12.2020", "01.02.2020"], '`types: {"x": date}` and `dates: ["%d.%m.%Y"]`'),
    ],
)
def test_dates_are_told(words: list[str], say: str, tmp_path: Path) -> None:
    """They stay categories, as they were, with what reads them as dates."""
    field = csv_fields(files=written(tmp_path, words), target="y").inputs["x"]
    assert (field.type, field.categories) == ("category", tuple(sorted(words)))
    assert [say in remark.help for remark in field.remarks] == [True]


def test_text_and_single_cells_are_told_too(tmp_path: Path) -> None:
    """Another word in each row is refused, some words among numbers too: in either case with the option."""
    with pytest.raises(OptionError, match="its cells look like numbers, such as '€0'") as caught:
        csv(files=written(tmp_path, [f"€{row}" for row in range(200)], 200), target="y")
    assert '`units: ["€"]`' in str(caught.value.help)
    with pytest.raises(OptionError, match="'1,000' in row 20 of the column 'x' is not a number") as caught:
        csv(files=written(tmp_path, [*map(str, range(19)), "1,000"]), target="y")
    assert 'say `thousands: ","`, which reads it' in str(caught.value.help)


def test_a_target_and_a_parquet_file_are_told_too(tmp_path: Path) -> None:
    file = written(tmp_path, ["1%", "2%"])
    (remark,) = csv_fields(files=file, target="x").targets["x"].remarks
    assert "units" in remark.help
    pd.read_csv(file).to_parquet(tmp_path / "t.parquet")
    (remark,) = parquet_fields(files=tmp_path / "t.parquet", target="y").inputs["x"].remarks
    assert "write plain numbers there" in remark.help


WRONG_SIGNS: list[dict[str, Any]] = [
    *({"thousands": "."}, {"thousands": ",,"}, {"thousands": "0"}, {"units": [" "]}, {"units": ["1"]}),
    {"decimal": ",", "thousands": ","},
]


@pytest.mark.parametrize("options", WRONG_SIGNS, ids=str)
def test_signs_that_would_be_taken_for_others_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        csv(files=written(tmp_path, ["1"]), target="y", **options)
    assert caught.value.option in options


ORDERS: dict[str, tuple[str, list[str], bool]] = {
    "from 0": ("x", [str(row) for row in range(ROWS)], True),
    "from 1": ("x", [f"{row + 1}.0" for row in range(ROWS)], True),
    "an index without a name": ("", [str(row * 7 % 61) for row in range(ROWS)], True),
    "an index read and written": ("Unnamed: 0", [str(row * 7 % 61) for row in range(ROWS)], True),
    "from 2": ("x", [str(row + 2) for row in range(ROWS)], False),
    "backwards": ("x", [str(ROWS - row) for row in range(ROWS)], False),
    "hours": ("x", [str(row % 24) for row in range(ROWS)], False),
    "one missing": ("x", [*map(str, range(ROWS - 1)), ""], False),
    "one zero": ("x", ["0"], False),
    "fractions without a name": ("", ["0.5", "1.25"], False),
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", ORDERS)
def test_the_number_of_a_row_is_told(
    kind: str, in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name, cells, is_told = ORDERS[kind]
    options: dict[str, Any] = {"files": written(tmp_path, cells, name=name), "target": "y", "in_memory": in_memory}
    remarks = csv_fields(**options).inputs[name].remarks
    assert [remark.is_leak for remark in remarks] == [True] * is_told
    if is_told:
        (said,) = re.findall(r"`([^`]*)`", remarks[0].help)
        assert list(csv_fields(**options, **yaml.safe_load(f"{{{said}}}")).inputs) == ["other"]
        alone = csv_fields(**options, features=[name]).inputs[name]
        assert alone.remarks == (), "what is the only input is meant"


def test_each_file_may_count_anew(tmp_path: Path) -> None:
    for number, first in enumerate((0, 0, 40)):
        frame = pd.DataFrame({"x": range(first, first + 20), "z": 0.5, "y": [0.0, 1.0] * 10})
        frame.to_csv(tmp_path / f"{number}.csv", index=False)
    both = [str(tmp_path / f"{number}.csv") for number in range(2)]
    assert csv_fields(files=both, target="y").inputs["x"].remarks
    assert not csv_fields(files=[both[0], str(tmp_path / "2.csv")], target="y").inputs["x"].remarks


SPEC = """
version: 1
name: doubts
device: {type: cpu, threads: 1}
data:
  csv: {files: t.csv, target: y, ignore: other}
  transforms: {category: one_hot}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.0001}}
train: {epochs: 1, batch_size: 20}
tracking: {wait_seconds: 0}
"""


@pytest.mark.parametrize(("command", "in_memory"), [("data", True), ("run", True), ("run", False)])
def test_data_and_run_say_it(command: str, in_memory: bool, tmp_path: Path, annpipe_here: CliHere) -> None:
    """Both warnings, at the line of the data, whether the rows are held in memory or not."""
    from tests.conftest import unrecorded

    frame = pd.DataFrame({"share": ["1%", "2%", "5%"] * 20, "y": [0.5, 1.5] * 30})
    frame.to_csv(tmp_path / "t.csv")  # with its index
    text = SPEC.replace(", ignore: other", "" if in_memory else ", in_memory: false")
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    with unrecorded():
        code, _, said = annpipe_here(command, "spec.yaml")
    assert code == 0, said
    assert said.count("warning[leak]") == said.count("warning[numbers-as-words]") == 1
    assert "spec.yaml:6:3" in said


@pytest.mark.parametrize("in_memory", [True, False])
def test_numbers_to_the_base_of_sixteen_are_words(
    in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `annpipe predict` reads them; whole numbers beside them stay numbers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "t.csv"
    cells = [("0x10", "0x1F", "0XAB")[row % 3] for row in range(60)]
    file.write_text("code,n,y\n" + "".join(f"{cell},{row * 7 - 3},{row / 8}\n" for row, cell in enumerate(cells)))
    made = csv(files=file, target="y", in_memory=in_memory)
    dataset = made if isinstance(made, Dataset) else next(made.passage())
    assert dataset.categories == {"code": ("0XAB", "0x10", "0x1F")}
    assert dataset.inputs["n"].tolist() == [row * 7 - 3 for row in range(60)]
