"""The scheduler: the rates of its first steps, by the formula."""

import pytest
import torch

from annpipe.scaffold.templates.scheduler import InverseRoot
from annpipe.testing import component_tests

test_promises = component_tests(InverseRoot)


def test_the_rate_falls_as_a_root() -> None:
    """To half after three times `slow` steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    scheduler = InverseRoot(optimizer, slow=1.0)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.8 / (1 + step) ** 0.5 for step in range(4)])
