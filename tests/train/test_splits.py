"""Splits: as large as asked, without a row twice, drawn from the seed alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annpipe.errors import SpecError
from annpipe.train.data import Splits, make_dataset, split_dataset

SPEC = """
version: 1
name: splits
data:
  formula: {rows: ROWS, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x}}
  split: {val: VAL, test: TEST}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


def splits(planned: Any, rows: int, val: float, test: float, seed: int = 0) -> Splits:
    """The splits of a spec, its data made anew."""
    text = SPEC.replace("ROWS", str(rows)).replace("VAL", str(val)).replace("TEST", str(test)) + f"seed: {seed}\n"
    plan = planned(text)
    return split_dataset(make_dataset(plan.data, plan.registry, 0), plan)


def xs(part: Any) -> list[float]:
    """The inputs of a split, which tell its rows apart."""
    return [] if part is None else list(part.inputs["x"].tolist())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(10, 300), val=st.floats(0.1, 0.5), test=st.floats(0.1, 0.4), seed=st.integers(0, 2**40))
def test_every_row_is_in_exactly_one_split(planned: Any, rows: int, val: float, test: float, seed: int) -> None:
    """The sizes are the rounded fractions, inputs and targets stay together, and each split keeps the data's order."""
    found = splits(planned, rows, val, test, seed)
    everything = xs(make_dataset((plan := planned(SPEC.replace("ROWS", str(rows)).replace("VAL", "0.0")
                                 .replace("TEST", "0.0"))).data, plan.registry, 0))  # fmt: skip
    assert len(xs(found.val)) == round(rows * val)
    assert len(xs(found.test)) == round(rows * test)
    parts = [xs(found.train), xs(found.val), xs(found.test)]
    assert sorted(x for part in parts for x in part) == sorted(everything)
    for part, values in zip((found.train, found.val, found.test), parts, strict=True):
        assert values == [x for x in everything if x in set(values)]
        assert part is not None
        assert torch.equal(part.targets["y"], 2 * part.inputs["x"])
        assert torch.equal(part.truth["y"], part.targets["y"])


def test_another_seed_draws_other_rows(planned: Any) -> None:
    """The same data cut elsewhere."""
    assert xs(splits(planned, 100, 0.2, 0.1).val) == xs(splits(planned, 100, 0.2, 0.1).val)
    assert xs(splits(planned, 100, 0.2, 0.1).val) != xs(splits(planned, 100, 0.2, 0.1, seed=1).val)


def test_without_fractions_all_rows_train(planned: Any) -> None:
    """In their order."""
    found = splits(planned, 10, 0.0, 0.0)
    assert (found.val, found.test) == (None, None)
    assert len(xs(found.train)) == 10


def test_a_fraction_that_takes_no_row_or_every_row_is_refused(planned: Any) -> None:
    """Three rows: a tenth of them is none; most of them twice leaves none."""
    with pytest.raises(SpecError, match=r"the val split of 0\.1 takes none of the 3 rows"):
        splits(planned, 3, 0.1, 0.0)
    with pytest.raises(SpecError, match="leaves none of the 3 rows"):
        splits(planned, 3, 0.5, 0.45)
