"""The combinations of the values of a sweep's axes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from annpipe.spec.sections.axes import Axis


def combinations(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Every combination of their values by path, the last axis turning fastest."""
    return [
        {axis.path: value for axis, value in zip(axes, values, strict=True)}
        for values in itertools.product(*(axis.values for axis in axes))
    ]


def corners(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Combinations in which each value and each end of a range comes up: what is wrong with one shows in them."""
    extremes = [axis.values or (axis.span.low, axis.span.high) if axis.span else axis.values for axis in axes]
    longest = max(map(len, extremes), default=0)
    return [
        {axis.path: values[min(index, len(values) - 1)] for axis, values in zip(axes, extremes, strict=True)}
        for index in range(longest)
    ]


def repeated(values: Mapping[str, Any], axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """The values with every combination of the repetitions among the axes, in the order of the axes."""
    repeats = combinations([axis for axis in axes if axis.is_repeat])
    return [{axis.path: {**values, **repeat}[axis.path] for axis in axes} for repeat in repeats]
