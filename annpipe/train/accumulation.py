"""The batches over which a step gathers its gradients, each with what its loss is multiplied by."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def step_batches(
    x: torch.Tensor, y: torch.Tensor, size: int, *, dim: int = 0, is_sum: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """x and y of a step -> those of each batch, with the scale of its loss; rows are the dimension `dim`.

    A mean over all rows is the sum of the batches' means, each times its fraction of the rows; a sum is their sum.
    """
    n_rows = x.shape[dim]
    for start in range(0, n_rows, size):
        count = min(size, n_rows - start)
        yield x.narrow(dim, start, count), y.narrow(dim, start, count), 1.0 if is_sum else count / n_rows
