"""The meaning of a network's outputs for losses that do not take them as the target's value; without torch."""

from __future__ import annotations

from itertools import pairwise

from annpipe import OptionError, OutputRoles

MEAN_VARIANCE, QUANTILES = "mean_variance", "quantiles"  # the layers that make such outputs


def gaussian_outputs(**options: object) -> OutputRoles:
    """Two outputs for each target: the mean, which is the prediction, and the variance."""
    return OutputRoles(("mean", "variance"), variance=1, layer=MEAN_VARIANCE)


def quantile_outputs(*, quantiles: float | list[float], **options: object) -> OutputRoles | None:
    """An output for each quantile; the prediction is the one nearest to the median."""
    levels = in_order(quantiles)
    if len(levels) == 1:
        return None
    point = min(range(len(levels)), key=lambda position: abs(levels[position] - 0.5))
    return OutputRoles(tuple(f"q{level:g}" for level in levels), point, layer=QUANTILES)


def in_order(quantiles: float | list[float]) -> list[float]:
    """The quantiles as a list; raises OptionError where they are not between 0 and 1 and ascending."""
    levels = quantiles if isinstance(quantiles, list) else [quantiles]
    if not levels or any(not 0 < level < 1 for level in levels):
        raise OptionError("quantiles", "a quantile is a number between 0 and 1", help="as in `[0.1, 0.5, 0.9]`")
    if any(low >= high for low, high in pairwise(levels)):
        raise OptionError("quantiles", "the quantiles must ascend", help=f"write {sorted(set(levels))}")
    return levels


def poisson_outputs(*, log_input: bool = True, **options: object) -> OutputRoles | None:
    """The logarithm of the rate, unless `log_input` is false."""
    return OutputRoles(("rate",), is_log=True) if log_input else None
