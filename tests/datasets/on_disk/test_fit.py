"""Transforms fitted in chunks are those fitted to all train rows at once, and to no other row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from annpipe.contract import ChunkedDataset, Dataset, Field, Fields
from annpipe.datasets.on_disk import fit
from annpipe.datasets.on_disk.fit import FittedStates, fit_in_chunks, train_rows
from annpipe.datasets.on_disk.passes import State
from annpipe.datasets.on_disk.split import assign_rows, summarize
from annpipe.plan.plan import Plan
from annpipe.spec.sections.models import Split
from tests.datasets.tables import rows_of
from tests.training import Planned

SPEC = """
version: 1
name: fitted
data:
  formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}, z: {Uniform: [-1, 1]}}, targets: {y: 2*x}}
  transforms: {x: [standardize, min_max], z: [robust], y: [standardize]}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""
N_ROWS = 53
DRAW = torch.Generator().manual_seed(4)
X, Z, Y = (torch.randn(N_ROWS, generator=DRAW, dtype=torch.float64) * 3 + 1 for _ in range(3))
WHOLE = Dataset({"x": X, "z": Z}, {"y": Y}, aside={"day": torch.arange(float(N_ROWS))})
FIELDS = Fields({"x": Field(), "z": Field()}, {"y": Field()}, N_ROWS, in_blocks=True)
N_TRAIN = 40


def chunks() -> Iterator[Dataset]:
    for start in range(0, N_ROWS, 7):
        yield rows_of(WHOLE, start, start + 7)


@pytest.fixture
def fitted(planned: Planned) -> Any:
    """The states fitted to the first 40 rows, in chunks of 7; the later rows are another split."""

    def states(*overrides: str, seed: int = 0) -> list[State | None]:
        plan: Plan = planned(SPEC, *overrides)
        split = Split(test=(N_ROWS - N_TRAIN) / N_ROWS, order="day")
        assignment = assign_rows(ChunkedDataset(FIELDS, "digest", chunks), split, seed)
        assert assignment.counts["train"] == N_TRAIN
        summary = summarize(assignment)
        train = torch.cat([rows.inputs["x"] for rows in train_rows(assignment, summary)])
        assert torch.equal(train, X[:N_TRAIN])
        return fit_in_chunks(plan.transforms, FIELDS, assignment, summary, seed, ())

    return states


def numbers(state: State | None) -> list[float]:
    """The numbers that a transform of one column has learnt, in rising order."""
    assert state is not None
    return sorted(tensor.item() for tensor in state.values() if tensor.numel() == 1 and tensor.is_floating_point())


def test_each_step_is_fitted_behind_those_before_it(fitted: Any) -> None:
    """Targets first, then inputs; held-out rows count in none."""
    of_y, of_x, of_scaled, of_z = fitted()
    for state, column in ((of_y, Y), (of_x, X)):
        train = column[:N_TRAIN]
        assert numbers(state) == pytest.approx(sorted([train.mean().item(), train.std(correction=0).item()]), rel=1e-9)
    scaled = (X[:N_TRAIN] - X[:N_TRAIN].mean()) / X[:N_TRAIN].std(correction=0)
    span = (scaled.max() - scaled.min()).item()
    assert numbers(of_scaled) == pytest.approx([scaled.min().item(), 1 / span], rel=1e-9)
    quartiles = torch.quantile(Z[:N_TRAIN], torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    assert numbers(of_z) == pytest.approx(sorted([quartiles[1], quartiles[2] - quartiles[0]]), rel=1e-9)


def test_what_needs_all_values_at_once_is_fitted_to_a_sample(fitted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many rows; which ones follows from the seed. What learns in chunks still has every row."""
    whole = fitted()
    monkeypatch.setattr(fit, "MOST_ROWS", 9)
    first, again, other = fitted(), fitted(), fitted(seed=1)
    assert numbers(first[3]) == numbers(again[3]) != numbers(other[3])
    assert numbers(first[3]) != numbers(whole[3])
    assert [numbers(state) for state in first[:3]] == [numbers(state) for state in whole[:3]]
    assert set(numbers(first[3])) & set(Z[:N_TRAIN].tolist())  # the median of 9 rows is one of them


class Learns(torch.nn.Module):
    """A transform that shifts by what it was fitted to."""

    shift: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.empty(0))
        self.inner = torch.nn.Module()

    def fit(self, x: torch.Tensor) -> None:
        self.shift = x.mean(0)


def test_states_are_loaded_in_their_order() -> None:
    """Into buffers of any size, also of inner modules; a step without a state is fitted to the sample."""
    load = FittedStates([{"shift": torch.tensor([1.0, 2.0]), "inner.scale": torch.tensor(3.0)}, None])
    first, second = Learns(), Learns()
    sample = torch.tensor([[4.0], [6.0]])
    load(first, sample)
    load(second, sample)
    assert first.shift.tolist() == [1.0, 2.0]
    assert first.inner.scale.item() == 3.0  # type: ignore[operator]  # a tensor
    assert second.shift.tolist() == [5.0]
