"""The fields of data: as the component declares them, or as the dataset that it made has them."""

from __future__ import annotations

import torch

from annpipe.contract import Dataset
from annpipe.datasets.fields import fields_of
from tests.datasets.tables import table


def test_fields_are_read_off_a_dataset() -> None:
    fields = fields_of(table())
    assert fields.rows == 60
    assert fields.inputs["x"].type == "number"
    assert (fields.inputs["word"].type, fields.inputs["word"].missing) == ("category", 9)
    assert fields.inputs["word"].categories == ("a", "b", "c")
    assert (fields.targets["kind"].dtype, fields.targets["kind"].classes) == ("int", 2)
    assert "day" not in fields.inputs, "columns kept aside are no fields"


def test_images_and_tokens_have_shapes_and_dtypes() -> None:
    fields = fields_of(
        Dataset({"image": torch.zeros(2, 1, 3, 3), "token": torch.zeros(2).long()}, {"y": torch.zeros(2)})
    )
    assert fields.inputs["image"].shape == (1, 3, 3)
    assert fields.inputs["token"].dtype == "int"
    assert fields.targets["y"].classes is None
