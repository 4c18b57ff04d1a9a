"""The combinations of a sweep's axes: held against itertools."""

from __future__ import annotations

import itertools

from annpipe.spec.sections.axes import Axis, Span
from annpipe.sweep.grid import combinations, corners, repeated


def test_combinations_are_the_product() -> None:
    """The last axis turns fastest."""
    axes = [Axis("a", (1, 2)), Axis("b", ("x", "y", "z"))]
    expected = [{"a": a, "b": b} for a, b in itertools.product((1, 2), ("x", "y", "z"))]
    assert combinations(axes) == expected


def test_corners_have_each_value_and_each_end() -> None:
    """As few trials as that takes."""
    axes = [Axis("a", (1, 2)), Axis("b", ("x", "y", "z")), Axis("lr", span=Span(0.1, 0.9))]
    found = corners(axes)
    assert len(found) == 3
    assert [{one[path] for one in found} for path in ("a", "b", "lr")] == [{1, 2}, {"x", "y", "z"}, {0.1, 0.9}]


def test_repetitions_of_a_choice() -> None:
    """Every seed with every fold, in the order of the axes."""
    axes = [Axis("seed", (0, 1)), Axis("lr", span=Span(0.1, 0.9)), Axis("data.split.fold", (0, 1))]
    found = repeated({"lr": 0.5}, axes)
    assert [list(one.values()) for one in found] == [[0, 0.5, 0], [0, 0.5, 1], [1, 0.5, 0], [1, 0.5, 1]]
