"""`csv` and `parquet`: what the columns of files become, held against pandas and against what was written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from annpipe import OptionError
from annpipe_std.csv_data import csv, parquet
from annpipe_std.tables.fields import csv_fields

TABLE = """age,height,town,member,price
31,1.80,Bonn,yes,10.5
42,,Kiel,no,12.0
27,1.75, Bonn ,yes,9.5
55,1.72,NA,no,14.5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_types_are_found_and_missing_values_are_nan(file: Path) -> None:
    made = csv(files=file, target="price")
    assert list(made.inputs) == ["age", "height", "town", "member"]
    assert made.inputs["age"].tolist() == [31, 42, 27, 55]
    assert [math.isnan(value) for value in made.inputs["height"].tolist()] == [False, True, False, False]
    assert made.inputs["town"].tolist()[:3] == [0, 1, 0]
    assert math.isnan(made.inputs["town"].tolist()[3])
    assert made.inputs["member"].tolist() == [1, 0, 1, 0]
    assert made.targets["price"].tolist() == [10.5, 12.0, 9.5, 14.5]
    assert made.categories == {"town": ("Bonn", "Kiel"), "member": ("no", "yes")}
    fields = csv_fields(files=file, target="price")
    assert {name: field.type for name, field in fields.inputs.items()} == {
        "age": "number", "height": "number", "town": "category", "member": "boolean",
    }  # fmt: skip
    assert (fields.inputs["height"].missing, fields.inputs["town"].missing, fields.rows) == (1, 1, 4)


def test_a_target_of_words_is_labels_with_their_names(file: Path) -> None:
    made = csv(files=file, target="town", features=["age"], drop_missing="town")
    assert made.targets["town"].tolist() == [0, 1, 0]
    assert not made.targets["town"].is_floating_point()
    field = csv_fields(files=file, target="town", features=["age"], drop_missing="town").targets["town"]
    assert (field.classes, field.categories) == (2, ("Bonn", "Kiel"))


def test_columns_are_chosen_by_name_list_and_pattern(file: Path) -> None:
    def inputs(**options: Any) -> list[str]:
        return list(csv(files=file, target="price", **options).inputs)

    assert inputs(features="*e*") == ["age", "height", "member"]
    assert inputs(features=["town", "a*"]) == ["town", "age"]
    assert inputs(ignore=["town", "m*"]) == ["age", "height"]
    assert list(csv(files=file, target=["price", "he*"], drop_missing="height").targets) == ["price", "height"]


def test_a_type_may_be_said(file: Path) -> None:
    made = csv(files=file, target="price", types={"age": "category", "member": "category"})
    assert made.categories["age"] == ("27", "31", "42", "55")
    assert made.categories["member"] == ("no", "yes")
    numbers = csv(files=file, target="price", features="age", types={"age": "number"})
    assert numbers.inputs["age"].tolist() == [31, 42, 27, 55]


def test_rows_with_missing_values_are_dropped_by_name_or_pattern(file: Path) -> None:
    assert csv(files=file, target="price", drop_missing="height").inputs["age"].tolist() == [31, 27, 55]
    assert csv(files=file, target="price", drop_missing="*").inputs["age"].tolist() == [31, 27]


def test_several_files_and_globs_follow_one_another(tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text("x,k,y\n1,u,2\n", encoding="utf-8")
    (tmp_path / "a2.csv").write_text("y,x,k\n4,3,7\n", encoding="utf-8")  # another order, and k looks like a number
    made = csv(files=tmp_path / "a*.csv", target="y")
    assert made.inputs["x"].tolist() == [1, 3]
    assert made.targets["y"].tolist() == [2, 4]
    assert made.categories["k"] == ("7", "u")
    assert csv(files=[tmp_path / "a2.csv", tmp_path / "a1.csv"], target="y").targets["y"].tolist() == [4, 2]
    (tmp_path / "b1.csv").write_text("x,y\n" + "1,2\n" * 20, encoding="utf-8")
    (tmp_path / "b2.csv").write_text("x,y\nq,2\n", encoding="utf-8")
    with pytest.raises(OptionError, match=r"'q' in row 1 of b2\.csv of the column 'x' is not a number"):
        csv(files=tmp_path / "b*.csv", target="y")


def test_european_files_and_files_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "eu.csv").write_text("x;y\n1,5;2\n-2,25;3\n", encoding="utf-8")
    made = csv(files=tmp_path / "eu.csv", target="y", delimiter=";", decimal=",")
    assert made.inputs["x"].tolist() == [1.5, -2.25]
    (tmp_path / "bare.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    bare = csv(files=tmp_path / "bare.csv", target="b", names=["a", "b"])
    assert (bare.inputs["a"].tolist(), bare.targets["b"].tolist()) == ([1, 3], [2, 4])


def test_numbers_equal_those_that_pandas_reads(tmp_path: Path) -> None:
    """Exponents, signs, blanks, quotes and missing words, over all of a generated table."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": random.normal(size=500) * 10.0 ** random.integers(-12, 12, 500), "b": random.integers(-9, 9, 500)}
    )
    frame.loc[random.random(500) < 0.1, "a"] = np.nan
    frame["y"] = 1.0
    frame.to_csv(tmp_path / "t.csv", index=False, na_rep="NA")
    made = csv(files=tmp_path / "t.csv", target="y")
    read = pd.read_csv(tmp_path / "t.csv")
    for name in ("a", "b"):
        np.testing.assert_array_equal(made.inputs[name].numpy(), read[name].to_numpy(dtype=float))
    quoted = 'a,y\n" +1e3 ",1\n-.5,2\n NA ,3\n"2",4\n'
    (tmp_path / "q.csv").write_text(quoted, encoding="utf-8")
    made = csv(files=tmp_path / "q.csv", target="y")
    np.testing.assert_array_equal(made.inputs["a"].numpy(), [1000, -0.5, np.nan, 2])


def test_parquet_gives_what_csv_gives(tmp_path: Path, file: Path) -> None:
    """Numbers, booleans, words, dictionaries and null, in the types of the file."""
    frame = pd.DataFrame(
        {
            "age": [31, 42, 27, 55],
            "height": [1.8, None, 1.75, 1.72],
            "town": pd.Categorical(["Bonn", "Kiel", "Bonn", None]),
            "member": [True, False, True, False],
            "price": [10.5, 12.0, 9.5, 14.5],
        }
    )
    frame.to_parquet(tmp_path / "people.parquet")
    ours, theirs = parquet(files=tmp_path / "people.parquet", target="price"), csv(files=file, target="price")
    assert list(ours.inputs) == list(theirs.inputs)
    for name in ours.inputs:
        np.testing.assert_array_equal(ours.inputs[name].numpy(), theirs.inputs[name].numpy())
    assert ours.categories["town"] == theirs.categories["town"]


def test_a_file_that_changed_is_read_again(file: Path) -> None:
    assert len(csv(files=file, target="price").inputs["age"]) == 4
    file.write_text(TABLE + "60,1.6,Bonn,no,20\n", encoding="utf-8")
    assert len(csv(files=file, target="price").inputs["age"]) == 5


def test_columns_for_the_split_are_no_features(file: Path) -> None:
    made = csv(files=file, target="price", aside=("town",))
    assert "town" not in made.inputs
    assert made.aside["town"].tolist()[:3] == [0, 1, 0]
    both = csv(files=file, target="price", features=["town", "age"], aside=("town",))
    assert list(both.inputs) == ["town", "age"]
