"""The transform, and its way back."""

import torch

from annpipe.scaffold.templates.transform import MaxAbs
from annpipe.testing import component_tests

test_promises = component_tests(MaxAbs)


def test_it_divides_by_the_largest_of_each_column() -> None:
    """A column that is 0 throughout stays so; the inverse leads back."""
    x = torch.tensor([[1.0, 0.0], [-4.0, 0.0]])
    transform = MaxAbs()
    transform.fit(x)
    assert transform(x).tolist() == [[0.25, 0.0], [-1.0, 0.0]]
    assert torch.equal(transform.inverse(transform(x)), x)
