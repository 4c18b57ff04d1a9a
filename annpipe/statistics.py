"""Statistics of repeated measurements: mean, standard deviation, and the 95 % confidence interval of the mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Student's t at 0.975 for 1, 2, … degrees of freedom (e.g. NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2).
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL = 1.959964


@dataclass(frozen=True)
class Spread:
    """n values: their mean, standard deviation (n - 1), and half the width of the 95 % interval of the mean.

    Of a single value there is neither deviation nor interval: both are NaN.
    """

    n: int
    mean: float
    deviation: float
    half_width: float


def spread(values: Sequence[float]) -> Spread:
    """The spread of finite values; NaN where one is not."""
    n = len(values)
    if not n or not all(math.isfinite(value) for value in values):
        return Spread(n, math.nan, math.nan, math.nan)
    mean = statistics.fmean(values)
    if n == 1:
        return Spread(1, mean, math.nan, math.nan)
    deviation = statistics.stdev(values)
    return Spread(n, mean, deviation, student_t(n - 1) * deviation / math.sqrt(n))


def student_t(degrees: int) -> float:
    """Student's t at 0.975; beyond 30 degrees of freedom by the expansion of Cornish and Fisher."""
    if degrees <= len(_T):
        return _T[degrees - 1]
    z = _NORMAL
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
