"""The optimizer: one step by hand, and the way to a minimum."""

import torch

from annpipe.scaffold.templates.optimizer import Lion
from annpipe.testing import component_tests

test_promises = component_tests(Lion)


def test_a_first_step_is_lr_against_the_sign_of_the_gradient() -> None:
    """However large the gradient is."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = Lion(lr=0.1, params=[weight])
    (weight**2).sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, -0.9]))


def test_it_makes_a_square_small() -> None:
    """In steps of 0.1 from 1 it comes as near as a step is long."""
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = Lion(lr=0.1, params=[weight])
    for _ in range(50):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
    assert abs(weight.item()) < 0.5
