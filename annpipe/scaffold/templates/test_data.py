"""The data component: the columns that its fields declare, and the same rows from the same seed."""

import torch

from annpipe.scaffold.templates.data import spiral, spiral_fields
from annpipe.testing import component_tests

test_promises = component_tests(spiral)


def test_the_rows_are_those_of_the_fields() -> None:
    """By name, and as many as were asked for."""
    rows = spiral(rows=10, generator=torch.Generator().manual_seed(0))
    fields = spiral_fields(rows=10)
    assert list(rows.inputs) == list(fields.inputs)
    assert list(rows.targets) == list(fields.targets)
    assert {len(column) for column in rows.inputs.values()} == {10}


def test_a_seed_gives_the_same_rows_again() -> None:
    """All chance comes from the generator."""
    first, second = (spiral(rows=10, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.inputs["x"], second.inputs["x"])
