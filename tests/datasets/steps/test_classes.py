"""The classes of a target by name, and how many rows each has."""

from __future__ import annotations

import torch

from annpipe.contract import Dataset
from annpipe.datasets.steps.classes import class_counts, class_names


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
