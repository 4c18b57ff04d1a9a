"""What a data component returns is checked: a dataset of tensors of one length, or chunks of numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from annpipe.contract import ChunkedDataset, Dataset, Field, Fields
from annpipe.datasets.steps import make
from annpipe.datasets.steps.make import beside_digest, dataset_digest, make_data, make_dataset
from annpipe.draft.component import Component
from annpipe.errors import RunError
from annpipe.registry.discovery import PluginFault
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
        (X, "returns a Tensor, and no annpipe.Dataset"),
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
    with pytest.raises((RunError, PluginFault), match=f"the data component 'mine'.*{fault}"):
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


WHOLE = Dataset({"x": torch.arange(4.0)}, {"y": torch.arange(4.0)})


def test_a_digest_is_of_names_shapes_dtypes_and_values() -> None:
    others = [
        replace(WHOLE, inputs={"z": torch.arange(4.0)}),
        replace(WHOLE, inputs={"x": torch.arange(4.0)[:, None]}),
        replace(WHOLE, inputs={"x": torch.arange(4.0).double()}),
        replace(WHOLE, inputs={"x": torch.tensor([0.0, 1.0, 2.0, 4.0])}),
        Dataset(WHOLE.targets, WHOLE.inputs),
    ]
    digests = {dataset_digest(dataset) for dataset in [WHOLE, *others]}
    assert len(digests) == 6
    assert dataset_digest(replace(WHOLE)) == dataset_digest(WHOLE)
    assert all(len(digest) == 16 for digest in digests)


def test_what_stands_beside_inputs_and_targets_has_a_digest_of_its_own() -> None:
    assert beside_digest(WHOLE) == ""
    aside = replace(WHOLE, aside={"day": torch.arange(4.0)})
    truth = replace(WHOLE, truth={"day": torch.arange(4.0)})
    assert len({beside_digest(dataset) for dataset in (WHOLE, aside, truth, table())}) == 4
    assert dataset_digest(aside) == dataset_digest(WHOLE)


def test_chunked_data_have_a_digest_of_their_own() -> None:
    data = chunked(table())
    assert dataset_digest(data) == "digest"
    assert beside_digest(data), "of the names of categories"
