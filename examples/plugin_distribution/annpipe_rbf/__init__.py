"""A layer of radial basis functions and a metric, for annpipe."""

from annpipe_rbf.layer import RadialBasis
from annpipe_rbf.metric import MaxError

__all__ = ["MaxError", "RadialBasis"]
