"""The plot: what it draws of a small run."""

import torch

from annpipe import Dataset, RunView
from annpipe.scaffold.templates.plot import error_histogram
from annpipe.testing import component_tests

test_promises = component_tests(error_histogram)


def test_it_draws_a_bar_for_each_bin() -> None:
    """Of a model that predicts half of each target."""
    train = Dataset({"x": torch.arange(5.0)}, {"y": torch.arange(5.0) * 2})
    view = RunView("toy", train, None, None, {}, lambda inputs: {"y": inputs["x"]}, torch.nn.Identity(), "L1Loss")
    figure = error_histogram(view, bins=10)
    assert len(figure.axes[0].patches) == 10
