"""The loss: where it is least."""

import torch

from annpipe.scaffold.templates.loss import PinballLoss
from annpipe.testing import component_tests

test_promises = component_tests(PinballLoss)


def test_it_is_least_at_the_quantile() -> None:
    """Over 0, 1, …, 100 that is 90 for 0.9."""
    target = torch.arange(101.0)
    losses = [float(PinballLoss(0.9)(torch.full_like(target, n), target)) for n in range(101)]
    assert losses.index(min(losses)) == 90
