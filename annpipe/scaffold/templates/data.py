"""A data component: a function that returns a Dataset of named columns."""

import torch

import annpipe
from annpipe import Dataset, Fields, data


def spiral_fields(*, rows: int = 300, turns: float = 1.5) -> Fields:
    arm = annpipe.Field(dtype="int", classes=2)
    return Fields({"x": annpipe.Field(), "y": annpipe.Field()}, {"arm": arm})


@data(fields=spiral_fields)
def spiral(*, rows: int = 300, turns: float = 1.5, generator: torch.Generator) -> Dataset:
    """`rows` points on two arms of a spiral, to be told apart after so many `turns`."""
    arm = torch.arange(rows) % 2
    radius = torch.rand(rows, generator=generator, dtype=torch.float64)
    angle = 2 * torch.pi * turns * radius + torch.pi * arm
    return Dataset({"x": radius * angle.cos(), "y": radius * angle.sin()}, {"arm": arm})
