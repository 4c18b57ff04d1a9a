"""`annpipe data SPEC`, as a user types it: the figures against pandas, leaks that are there and leaks that are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

from tests.conftest import CliHere

ROOT = Path(__file__).parents[3]
PENGUINS = ROOT / "pipelines" / "penguins.yaml"
ROWS = 60


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Sixty rows, each different, two of them with a missing value; no column tells another."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.integers(20, 70, ROWS).astype(float),
            "size": random.normal(170, 10, ROWS).round(1),
            "town": random.choice(["Bern", "Köln", "Wien"], ROWS),
            "price": random.normal(0, 3, ROWS).round(3),
        }
    )
    frame.loc[[3, 8], "size"] = np.nan
    return frame


def written(frame: pd.DataFrame, folder: Path, more: str = "", split: str = "{val: 0.2, test: 0.2}") -> Path:
    """A spec that is nothing but its data."""
    frame.to_csv(folder / "rows.csv", index=False)
    spec = folder / "spec.yaml"
    data = f"{{csv: {{files: rows.csv, target: price{more}}}, split: {split}}}"
    spec.write_text(f"version: 1\nname: rows\ndata: {data}\n", encoding="utf-8")
    return spec


def seen(annpipe_here: CliHere, spec: Path, *more: str) -> dict[str, Any]:
    code, printed, said = annpipe_here("data", spec, "--json", *more)
    assert code == 0, said
    found: dict[str, Any] = json.loads(printed)
    return found


def test_every_figure_is_pandas_own(table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere) -> None:
    """Missing, distinct, range, mean and deviation of numbers; how often each category is there."""
    found = seen(annpipe_here, written(table, tmp_path))
    assert found["rows"] == ROWS
    assert found["splits"] == {"train": 36, "val": 12, "test": 12}
    columns = {column["name"]: column for column in found["columns"]}
    assert set(columns) == set(table)
    assert {name: column["role"] for name, column in columns.items()} == {
        "age": "input", "size": "input", "town": "input", "price": "target",
    }  # fmt: skip
    for name in ("age", "size", "price"):
        expected = table[name].describe()
        for mine, theirs in (("least", "min"), ("mean", "mean"), ("deviation", "std"), ("greatest", "max")):
            assert columns[name][mine] == pytest.approx(expected[theirs], rel=1e-12), (name, mine)
        assert columns[name]["missing"] == int(table[name].isna().sum())
        assert columns[name]["distinct"] == table[name].nunique()
    assert dict(columns["town"]["frequent"]) == table["town"].value_counts().to_dict()
    assert found["first_rows"]["town"] == table["town"].head().tolist()
    assert found["first_rows"]["size"] == [None if v != v else v for v in table["size"].head()]
    assert found["warnings"] == []


def test_classes_are_counted_in_each_split(annpipe_here: CliHere) -> None:
    """Those of the gallery's penguins, which are stratified."""
    found = seen(annpipe_here, PENGUINS)
    species = pd.read_csv(PENGUINS.parent / "tables" / "penguins.csv")["species"].value_counts().to_dict()
    assert {name: sum(parts.values()) for name, parts in found["classes"]["species"].items()} == species
    for name, parts in found["classes"]["species"].items():
        assert parts["test"] == pytest.approx(species[name] / 4, abs=1), name


def test_a_person_sees_a_table(table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere) -> None:
    code, printed, said = annpipe_here("data", written(table, tmp_path), "--rows", "2")
    assert (code, said) == (0, "")
    assert "60: train 36 (60.0%), val 12 (20.0%), test 12 (20.0%)" in printed
    assert "size    input   number    2" in printed
    assert "first rows" in printed
    assert "Köln" in printed or "Bern" in printed or "Wien" in printed


@pytest.mark.parametrize(
    ("spec", "rows"), [("quadratic", 1000), ("digits_mlp", 1797), ("sine_lstm", None), ("xor", None), ("moons", None)]
)
def test_every_kind_of_data_is_shown(spec: str, rows: int | None, annpipe_here: CliHere) -> None:
    """Drawn, bundled, out of a plugin, written down; numbers and images."""
    found = seen(annpipe_here, ROOT / "pipelines" / f"{spec}.yaml")
    assert rows is None or found["rows"] == rows
    assert found["rows"] == sum(found["splits"].values())


def codes(found: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in found["warnings"]]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (lambda frame: frame["price"], "they are equal"),
        (lambda frame: frame["price"] * -2.5 + 3, "but for scale and shift"),
    ],
)
def test_a_feature_that_is_the_target(
    column: Any, says: str, table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere
) -> None:
    found = seen(annpipe_here, written(table.assign(copy=column(table)), tmp_path))
    assert codes(found) == ["leak"]
    assert "'copy'" in found["warnings"][0]["message"]
    assert says in found["warnings"][0]["message"]


def test_a_feature_that_is_nearly_the_target(table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere) -> None:
    """A good feature is no leak."""
    near = table["price"] + np.random.default_rng(1).normal(0, 0.01, ROWS)
    assert codes(seen(annpipe_here, written(table.assign(near=near), tmp_path))) == []


def test_a_constant_column(table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere) -> None:
    found = seen(annpipe_here, written(table.assign(one=1.0), tmp_path))
    assert codes(found) == ["constant-column"]
    assert "'one'" in found["warnings"][0]["message"]


def test_the_same_rows_in_train_and_test(table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere) -> None:
    """Each row is there twice, so that most rows held out are known; where they are kept together none is."""
    twice = pd.concat([table, table.assign(price=table["price"] + 1)], ignore_index=True)
    found = seen(annpipe_here, written(twice, tmp_path, split="{test: 0.3}"))
    assert codes(found) == ["leak"]
    assert "of the 36 rows of test" in found["warnings"][0]["message"]
    grouped = twice.assign(row=[f"r{number % ROWS}" for number in range(2 * ROWS)])
    spec = written(grouped, tmp_path, more=", types: {row: category}", split="{test: 0.3, groups: row}")
    assert codes(seen(annpipe_here, spec)) == []


def test_a_class_that_train_lacks(table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere) -> None:
    """In order, the last rows are held out, and the class that only they have."""
    kinds = table.assign(price=["a", "b"] * 25 + ["c"] * 10, day=range(ROWS))
    spec = written(kinds, tmp_path, split="{test: 0.2, order: day}")
    found = seen(annpipe_here, spec)
    assert codes(found) == ["absent-class"]
    assert "'c'" in found["warnings"][0]["message"]
    kinds["day"] += 20.0
    assert codes(seen(annpipe_here, written(kinds, tmp_path, split="{test: 0.2, stratify: price}"))) == []


def test_the_figure_is_a_file_and_a_plot_of_the_record(
    table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere
) -> None:
    spec = written(table, tmp_path)
    code, _, said = annpipe_here("data", spec, "--figure", tmp_path / "columns.svg")
    assert code == 0, said
    drawn = (tmp_path / "columns.svg").read_text(encoding="utf-8")
    assert all(name in drawn for name in table)
    code, _, said = annpipe_here("data", spec, "--figure", tmp_path / "columns.txt")
    assert code == 2
    assert ".svg, .png or .pdf" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "rows.csv"),
        ("", "empty"),
        ("age,price\n1,2\n3\n", "line 3"),
        ("age,price\n1,2\n3,x\n4,5\n6,7\n8,9\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n7,7\n", "'x' in row 2"),
        ("age,price\n1,2\n3,\n", "missing in 1 of 2 rows"),
    ],
)
def test_wrong_files_are_said_at_their_line(
    content: str | None, says: str, table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere
) -> None:
    """Missing, empty, ragged, a cell that is no number, a target that is not there: exit code 3, and no traceback."""
    spec = written(table, tmp_path, split="{val: 0.2}")
    if content is None:
        (tmp_path / "rows.csv").unlink()
    else:
        (tmp_path / "rows.csv").write_text(content, encoding="utf-8")
    code, printed, said = annpipe_here("data", spec)
    assert (code, printed) == (3, "")
    assert says in said
    assert "spec.yaml:3:" in said
    assert "Traceback" not in said


def test_rows_that_are_not_in_memory_are_refused(
    table: pd.DataFrame, tmp_path: Path, annpipe_here: CliHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    table.to_parquet(tmp_path / "t.parquet")
    target = table.columns[-1]
    text = f"{{version: 1, name: t, data: {{parquet: {{files: t.parquet, target: {target}, in_memory: false}}}}}}"
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    code, out, err = annpipe_here("data", "spec.yaml")
    assert (code, out) == (3, "")
    assert f"error[data]: the {len(table)} rows are not in memory, as it needs them to be described" in err
