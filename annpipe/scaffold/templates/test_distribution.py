"""The distribution: its mean, its bounds and what it refuses."""

import pytest
import torch

from annpipe import OptionError
from annpipe.scaffold.templates.distribution import Triangular
from annpipe.testing import component_tests

test_promises = component_tests(Triangular)


def test_draws_have_the_mean_of_a_triangle() -> None:
    """A third of the sum of its corners."""
    torch.manual_seed(0)
    drawn = Triangular(2.0, 0.5).sample((20_000,))
    assert float(drawn.mean()) == pytest.approx((0 + 2 + 0.5) / 3, abs=0.02)
    assert 0 <= float(drawn.min()) < float(drawn.max()) <= 2


def test_a_peak_outside_is_refused() -> None:
    """By the option's name."""
    with pytest.raises(OptionError, match="peak"):
        Triangular(1.0, 1.5)
