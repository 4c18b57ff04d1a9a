"""Data whose fields are not those that are made."""

import torch

import annpipe
from annpipe import Dataset, Fields, data


def points_fields(rows: int = 20) -> Fields:
    return Fields({"x": annpipe.Field(), "why": annpipe.Field()}, {"z": annpipe.Field()}, rows)


@data(fields=points_fields)
def points(rows: int = 20) -> Dataset:
    x = torch.linspace(0, 1, rows, dtype=torch.float64)
    return Dataset({"x": x, "y": 1 - x}, {"z": 2 * x})
