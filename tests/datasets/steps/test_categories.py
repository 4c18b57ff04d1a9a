"""Only the categories of the train split are known: the others are -1, and a missing one stays missing."""

from __future__ import annotations

import torch

from annpipe.contract import Dataset
from annpipe.datasets.steps.categories import (
    class_counts,
    class_names,
    known_categories,
    n_categories,
    new_positions,
    present,
)
from annpipe.datasets.steps.splits import Splits
from tests.datasets.tables import WORDS, fields_of_table


def part(*codes: float) -> Dataset:
    word = torch.tensor(codes, dtype=torch.float64)
    return Dataset({"x": word.clone(), "word": word}, {"kind": word.long()}, categories={"word": WORDS})


def test_categories_that_train_lacks_are_unknown() -> None:
    splits = Splits(part(0, 2, 2), part(1, 2), None)
    known = known_categories(splits, fields_of_table())
    assert known.train.categories["word"] == ("a", "c")
    assert known.train.inputs["word"].tolist() == [0, 1, 1]
    assert known.val is not None
    assert known.val.inputs["word"].tolist() == [-1, 1]
    assert known.test is None


def test_a_missing_category_stays_missing() -> None:
    known = known_categories(Splits(part(1, torch.nan), None, None), fields_of_table())
    assert known.train.inputs["word"].isnan().tolist() == [False, True]


def test_positions_are_counted_among_those_that_are_there() -> None:
    has = present(torch.tensor([2.0, 0.0, torch.nan]), 4)
    assert has.tolist() == [True, False, True, False]
    assert new_positions(has).tolist() == [0, -1, 1, -1]


def test_numbers_have_no_categories() -> None:
    assert n_categories(part(0, 1), ["x", "word"], fields_of_table()) == [0, 3]


def of(values: torch.Tensor, **categories: tuple[str, ...]) -> tuple[str, ...]:
    return class_names(Dataset({"x": values}, {"y": values}, categories=categories), "y")


def test_classes_have_the_names_of_their_categories_or_their_numbers() -> None:
    assert of(torch.tensor([0, 1, 1]), y=("no", "yes")) == ("no", "yes")
    assert of(torch.tensor([0, 2, 1])) == ("0", "1", "2")
    assert of(torch.tensor([0.0, 1.0, 1.0])) == ("0", "1")


def test_numbers_are_no_classes() -> None:
    assert of(torch.tensor([0.5, 1.0])) == ()
    assert of(torch.tensor([10_000, 3])) == (), "more classes than rows"
    assert of(torch.zeros(3, 2)) == ()


def test_negative_labels_are_of_no_class() -> None:
    assert class_counts(torch.tensor([0, -1, 2, 2]), 4).tolist() == [1, 0, 2, 0]
