"""A split as tensors: columns side by side in the run's precision, labels as whole numbers."""

from __future__ import annotations

import pytest
import torch

from annpipe.contract import Dataset
from annpipe.datasets.steps.tensors import Rows, joined, to_tensors
from annpipe.errors import RunError

CPU = torch.device("cpu")


def test_columns_stand_side_by_side() -> None:
    a, b = torch.arange(3.0), torch.arange(3)
    assert joined({"a": a, "b": b}, torch.float64).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert joined({"image": torch.zeros(3, 2, 2)}, torch.float32).shape == (3, 2, 2)
    assert joined({"token": b}, torch.float32).dtype == torch.int64, "tokens stay whole numbers"


def test_whole_numbers_that_the_precision_loses_are_refused() -> None:
    large = {"a": torch.tensor([2**24 + 1]), "b": torch.zeros(1)}
    with pytest.raises(RunError, match=r"'a' has whole numbers above 16,777,216"):
        joined(large, torch.float32)
    assert joined(large, torch.float64)[0, 0] == 2**24 + 1


@pytest.mark.parametrize(("labels", "fault"), [([0.0, 0.5], "are not whole numbers"), ([0.0, -1.0], "from 0, but")])
def test_labels_are_whole_numbers_from_0(labels: list[float], fault: str) -> None:
    rows = Dataset({"x": torch.zeros(2)}, {"y": torch.tensor(labels)})
    with pytest.raises(RunError, match=fault):
        to_tensors(rows, CPU, torch.float32, classes=True)
    with pytest.raises(RunError, match=fault):
        to_tensors(rows, CPU, torch.float32, classes=False, labels=["y"])


def test_chunks_are_the_rows_in_their_order() -> None:
    rows = Rows(torch.arange(5.0)[:, None], torch.arange(5))
    assert [y.tolist() for _, y in rows.iter_chunks(2)] == [[0, 1], [2, 3], [4]]
    assert (len(rows), rows.dtype, rows.device) == (5, torch.float32, CPU)
