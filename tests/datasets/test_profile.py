"""The statistics of columns that `annpipe data` shows, held against torch."""

from __future__ import annotations

import pytest
import torch

from annpipe.contract import Dataset
from annpipe.datasets.profile import in_words, profile
from annpipe.datasets.steps.splits import split_dataset
from annpipe.spec.sections.models import Split
from tests.datasets.tables import table


def test_each_column_has_its_statistics() -> None:
    whole = table()
    described = profile(whole, split_dataset(whole, Split(val=0.2), 0), 3)
    columns = {column.name: column for column in described.columns}
    x = whole.inputs["x"]
    assert columns["x"].type == "number"
    assert (columns["x"].least, columns["x"].greatest) == (float(x.min()), float(x.max()))
    assert columns["x"].mean == pytest.approx(float(x.mean()))
    assert columns["x"].deviation == pytest.approx(float(x.std()))
    word = whole.inputs["word"]
    assert (columns["word"].type, columns["word"].missing) == ("category", int(word.isnan().sum()))
    assert dict(columns["word"].frequent) == {
        name: int((word == position).sum()) for position, name in enumerate(("a", "b", "c"))
    }
    assert columns["kind"].type == "boolean"
    assert columns["day"].role == "aside"
    assert columns["day"].is_key, "every row has another whole number"
    assert not columns["x"].is_key


def test_rows_and_classes_are_counted_by_split() -> None:
    whole = table()
    splits = split_dataset(whole, Split(val=0.2), 0)
    described = profile(whole, splits, 2)
    assert (described.rows, described.total) == ({"train": 48, "val": 12}, 60)
    for number, name in enumerate(("no", "yes")):
        counts = {part: int((rows.targets["kind"] == number).sum()) for part, rows in splits.by_name.items()}
        assert described.classes["kind"][name] == counts
    assert described.first["day"] == (59, 58)
    assert described.first["word"][0] is None, "it is missing"


def test_rows_of_several_numbers_have_a_range_only() -> None:
    images = Dataset({"image": torch.arange(8.0).reshape(2, 2, 2)}, {"y": torch.zeros(2)})
    column = next(
        column for column in profile(images, split_dataset(images, Split(), 0), 2).columns if column.role == "input"
    )
    assert (column.type, column.shape, column.distinct, column.least, column.greatest) == (
        "numbers",
        (2, 2),
        None,
        0,
        7,
    )


def test_values_are_shown_in_the_units_of_the_data() -> None:
    assert in_words(1.0, ("no", "yes")) == "yes"
    assert in_words(-1.0, ("no", "yes")) is None
    assert in_words(float("nan"), ()) is None
    assert in_words(2.0, ()) == 2
    assert isinstance(in_words(2.0, ()), int)
    assert in_words(0.5, ()) == 0.5
