"""The initializer: the values that it gives."""

import torch

from annpipe.scaffold.templates.initializer import signs_
from annpipe.testing import component_tests

test_promises = component_tests(signs_)


def test_both_signs_come_up() -> None:
    """And nothing between."""
    torch.manual_seed(0)
    tensor = torch.empty(1000)
    signs_(tensor, size=0.25)
    assert tensor.unique().tolist() == [-0.25, 0.25]
