"""The metric: one number, however the rows are divided into batches."""

import math

import torch

from annpipe.scaffold.templates.metric import WorstError
from annpipe.testing import component_tests

test_promises = component_tests(WorstError)


def test_it_is_the_worst_of_all_batches() -> None:
    """And nan before the first."""
    metric = WorstError()
    assert math.isnan(metric.compute())
    metric.update(torch.tensor([[1.0]]), torch.tensor([[4.0]]))
    metric.update(torch.tensor([[1.0]]), torch.tensor([[2.0]]))
    assert metric.compute() == 3.0
