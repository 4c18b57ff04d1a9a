"""The layer, held against what it is said to compute."""

import torch

from annpipe.scaffold.templates.layer import Swish
from annpipe.testing import component_tests

test_promises = component_tests(Swish)


def test_it_is_the_identity_far_to_the_right() -> None:
    """There sigmoid(βx) is 1."""
    x = torch.tensor([[50.0, 60.0]])
    torch.testing.assert_close(Swish(beta=2.0)(x), x)


def test_a_step_has_a_gradient() -> None:
    """The automatic one is that of finite differences."""
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Swish(beta=2.0), (x,))
