"""The average, held against its closed form."""

import pytest
import torch

from annpipe.scaffold.templates.average import PolynomialDecay
from annpipe.testing import component_tests

test_promises = component_tests(PolynomialDecay)


def test_late_parameters_weigh_more() -> None:
    """With eta = 1 the t-th value weighs t: (1 + 2*2 + 3*3) / 6 of 1, 2, 3."""
    model = torch.nn.Linear(1, 1, bias=False)
    averaged = PolynomialDecay(model, eta=1.0)
    for value in (1.0, 2.0, 3.0):
        torch.nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
    assert averaged.module.weight.item() == pytest.approx(14 / 6)
