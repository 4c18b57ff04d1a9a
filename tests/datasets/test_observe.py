"""What is known of the data before training, and when they have to be made for it."""

from __future__ import annotations

import pytest

from annpipe.datasets import observe
from annpipe.datasets.steps import make
from annpipe.errors import SpecError
from tests.training import Planned

SPEC = """
version: 1
name: observed
data:
  formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x}}
  split: {val: 0.2}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the data components that were called."""
    names: list[str] = []

    def noted(component: object, *more: object) -> object:
        names.append(component.name)  # type: ignore[attr-defined]  # a Component
        return make.make_data(component, *more)  # type: ignore[arg-type]  # as above

    monkeypatch.setattr(observe, "make_data", noted)
    return names


def test_declared_fields_need_no_data(planned: Planned, made: list[str]) -> None:
    plan = planned(SPEC)
    assert (plan.fields.rows, plan.held) == (20, None)
    assert made == []


def test_transforms_are_fitted_to_the_data(planned: Planned, made: list[str]) -> None:
    plan = planned(SPEC, "data.transforms={x: standardize}")
    assert plan.held == (4, 0)
    assert plan.fields.features == (1,)
    assert made == ["formula"]


def test_a_split_that_needs_rows_is_made(planned: Planned, made: list[str]) -> None:
    assert planned(SPEC, "data.split={val: 0.2, order: x}").held == (4, 0)
    assert made == ["formula"]


def test_what_the_data_refuse_is_told_at_the_split(planned: Planned) -> None:
    with pytest.raises(SpecError, match="there is no column 'day'"):
        planned(SPEC, "data.split={val: 0.2, order: day}")
