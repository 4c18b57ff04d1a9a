"""The batches of a step of a stack, and what their losses are multiplied by."""

from __future__ import annotations

import pytest
import torch

from annpipe.train.gears.stacked.batching import Batching
from tests.train.gears.stacks import SPEC
from tests.training import Planned

X = torch.arange(2 * 7 * 3.0).view(2, 7, 3)
Y = torch.arange(14.0).view(2, 7)
ACCUMULATED = ["train.batch_size=3", "train.accumulate=4"]


def test_a_step_of_one_batch_is_taken_whole(planned: Planned) -> None:
    """Its divisors are its own: nobody asks for those of the step."""
    batching = Batching(planned(SPEC), is_sum=False, divisors=lambda y: 1 / 0)  # type: ignore[arg-type, return-value]
    ((x, y, scale),) = batching.batches(X, Y)
    assert (x is X, y is Y, scale) == (True, True, 1.0)


@pytest.mark.parametrize(("is_sum", "scales"), [(False, [3 / 7, 3 / 7, 1 / 7]), (True, [1.0, 1.0, 1.0])])
def test_batches_are_cut_along_the_rows(is_sum: bool, scales: list[float], planned: Planned) -> None:
    """Of all members at once; a mean counts by its rows, a sum as it is."""
    taken = list(Batching(planned(SPEC, *ACCUMULATED), is_sum=is_sum, divisors=None).batches(X, Y))
    assert torch.equal(torch.cat([x for x, _, _ in taken], 1), X)
    assert torch.equal(torch.cat([y for _, y, _ in taken], 1), Y)
    assert [x.shape[1] for x, _, _ in taken] == [3, 3, 1]
    assert [scale for _, _, scale in taken] == scales


def test_terms_are_divided_by_what_the_whole_step_weighs(planned: Planned) -> None:
    """Each batch gets the same divisors, of all rows, not its own."""
    batching = Batching(planned(SPEC, *ACCUMULATED), is_sum=False, divisors=lambda y: y.sum(1, keepdim=True))
    expected = torch.tensor([[21.0], [70.0]])
    for _, _, scale in batching.batches(X, Y):
        assert isinstance(scale, torch.Tensor)
        assert torch.equal(scale, expected)
