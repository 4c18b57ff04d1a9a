"""A digest changes with every name, shape, dtype and value of the data."""

from __future__ import annotations

from dataclasses import replace

import torch

from annpipe.contract import Dataset
from annpipe.datasets.steps.digest import beside_digest, dataset_digest
from tests.datasets.tables import chunked, table

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
