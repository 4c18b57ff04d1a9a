"""The batches that a step is put together of: their losses add up to that of all rows."""

from __future__ import annotations

import pytest
import torch

from annpipe.train.accumulation import step_batches

X, Y = torch.randn(11, 3, dtype=torch.float64), torch.randn(11, dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 4, 11, 20])
@pytest.mark.parametrize("is_sum", [False, True])
def test_scaled_losses_of_batches_add_up(is_sum: bool, size: int) -> None:
    """A mean by the rows of each batch, a sum as it is; no row is lost or seen twice."""
    batches = list(step_batches(X, Y, size, is_sum=is_sum))
    assert torch.equal(torch.cat([x for x, _, _ in batches]), X)
    assert torch.equal(torch.cat([y for _, y, _ in batches]), Y)
    assert max(len(y) for _, y, _ in batches) == min(size, len(Y))
    parts = [(y.square().sum() if is_sum else y.square().mean()) * scale for _, y, scale in batches]
    whole = Y.square().sum() if is_sum else Y.square().mean()
    torch.testing.assert_close(torch.stack(parts).sum(), whole, rtol=1e-12, atol=0)


def test_rows_may_be_another_dimension() -> None:
    """Of a stack they are the second; no number is copied."""
    x, y = X.expand(2, 11, 3), Y.expand(2, 11)
    batches = list(step_batches(x, y, 4, dim=1))
    assert [tuple(batch.shape) for batch, _, _ in batches] == [(2, 4, 3), (2, 4, 3), (2, 3, 3)]
    assert [scale for _, _, scale in batches] == [4 / 11, 4 / 11, 3 / 11]
    assert all(batch.untyped_storage().data_ptr() == X.untyped_storage().data_ptr() for batch, _, _ in batches)
