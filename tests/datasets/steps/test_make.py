"""What a data component returns is checked: a dataset of tensors of one length, or chunks of numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from annpipe.contract import ChunkedDataset, Dataset, Field, Fields
from annpipe.datasets.steps import make
from annpipe.datasets.steps.make import make_data, make_dataset
from annpipe.draft.component import Component
from annpipe.errors import RunError
from tests.datasets.tables import chunked, table

COMPONENT = Component("data", "mine", {})
X = torch.zeros(3)


@pytest.fixture
def returns(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the component return a value."""

    def returning(value: object) -> None:
        monkeypatch.setattr(make, "instantiate", lambda component, **supplied: value)

    return returning


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (X, "returned Tensor, not an annpipe.Dataset"),
        (Dataset({}, {"y": X}), "gave no inputs"),
        (Dataset({"x": X}, {}), "gave no targets"),
        (Dataset({"x": X}, {"y": torch.zeros(2)}), "'y' is not a tensor of 3 rows"),
        (Dataset({"x": X}, {"y": torch.tensor(0.0)}), "'y' is not a tensor of 3 rows"),
        (Dataset({"x": X[:0]}, {"y": X[:0]}), "gave no rows"),
        (ChunkedDataset(Fields({}, {"y": Field()}, 3), "", lambda: iter(())), "chunks without inputs, targets or rows"),
        (ChunkedDataset(Fields({"x": Field((2,))}, {"y": Field()}, 3), "", lambda: iter(())), "'x' is not one number"),
    ],
)
def test_what_is_no_dataset_is_refused(returns: Any, value: object, fault: str) -> None:
    returns(value)
    with pytest.raises(RunError, match=f"the data component 'mine'.*{fault}"):
        make_data(COMPONENT, 0)


def test_of_chunked_data_the_first_chunk_stands_for_rows_in_memory(returns: Any) -> None:
    returns(chunked(table(), size=8))
    assert isinstance(make_data(COMPONENT, 0), ChunkedDataset)
    assert make_dataset(COMPONENT, 0).rows == 8


def test_floats_are_made_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(component: Component, **supplied: Any) -> Dataset:
        x = torch.rand(3, generator=supplied["generator"])
        return Dataset({"x": x}, {"y": x})

    monkeypatch.setattr(make, "instantiate", drawn)
    first, again, other = make_dataset(COMPONENT, 0), make_dataset(COMPONENT, 0), make_dataset(COMPONENT, 1)
    assert first.inputs["x"].dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(first.inputs["x"], again.inputs["x"])
    assert not torch.equal(first.inputs["x"], other.inputs["x"])
    assert replace(first).rows == 3
