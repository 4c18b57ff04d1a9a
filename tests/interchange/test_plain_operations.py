"""What stands in for functions of torch gives their values."""

from __future__ import annotations

import pytest
import torch

from annpipe.interchange.plain_operations import PlainOperations, ndtri, searchsorted


def test_quantiles_of_the_normal_distribution_are_torchs() -> None:
    """In the middle, in both tails and far out."""
    p = torch.cat([torch.linspace(1e-4, 1 - 1e-4, 999).double(), 10.0 ** -torch.arange(5, 100, 7).double()])
    p = torch.cat([p, torch.tensor([1 - 1e-7, 1 - 1e-15], dtype=torch.float64)])
    torch.testing.assert_close(ndtri(p), torch.special.ndtri(p), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("right", [False, True])
def test_the_place_among_boundaries_is_torchs(right: bool) -> None:
    """Of values between, beyond and equal to them."""
    boundaries, values = torch.tensor([0.0, 1.0, 1.0, 3.0]), torch.tensor([-1.0, 0.0, 0.5, 1.0, 3.0, 9.0])
    expected = torch.searchsorted(boundaries, values, right=right)
    assert torch.equal(searchsorted(boundaries, values, right=right), expected)
    with PlainOperations():
        assert torch.equal(torch.searchsorted(boundaries, values, right=right), expected)


def test_bounds_are_torchs() -> None:
    """One or both, in the type of the values."""
    x = torch.tensor([-2.0, 0.5, 2.0, torch.nan], dtype=torch.float64)
    for bounds in ({"min": 0.0}, {"max": 1 - 1e-7}, {"min": -1, "max": 1}):
        with PlainOperations():
            clamped = x.clamp(**bounds)
        torch.testing.assert_close(clamped, x.clamp(**bounds), rtol=0, atol=0, equal_nan=True)
