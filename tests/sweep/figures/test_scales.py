"""The scales of figures: logarithmic or not, the order of values, and the edge for what lies far off."""

from __future__ import annotations

import math
import random

import pytest

from annpipe.sweep.figures.scales import Heights, Scale
from annpipe.sweep.figures.values import draw_values
from tests.sweep.figures.swept import GRID, LR, loss, sweep, words


def test_scales_are_read_off_the_values() -> None:
    """Logarithmic where logarithms are spread evenly; numbers in their order; everything else by name."""
    random_rates = random.Random(0)
    found = {
        "lr": [10 ** random_rates.uniform(-4, -1) for _ in range(50)],
        "p": [random_rates.uniform(0.001, 0.7) for _ in range(50)],
        "width": [256, 16, 64, 32, 128],
        "depth": [1, 2, 4, 6, 8, 10, 12],
        "size": ["all", 64, 16],
        "flag": [True, 1, None],
    }
    scales = {path: Scale.of(sweep({path: values}, lambda _: 1.0), path) for path, values in found.items()}
    assert [path for path, scale in scales.items() if scale.is_log] == ["lr", "width"]
    assert scales["width"].values == (16, 32, 64, 128, 256)
    assert scales["width"].position(64) == pytest.approx(math.log10(64))
    assert scales["size"].values == (16, 64, "all")
    assert [scales["flag"].position(value) for value in (1, True, None)] == [0.0, 1.0, 2.0]


def test_a_value_far_from_all_others_does_not_flatten_them() -> None:
    """It is drawn at the edge, and said to be worse than that."""
    far = sweep(
        {LR: [1, 2, 3, 4, 5, 6, 7, 8]}, lambda values: -1e6 if values[LR] == 8 else values[LR] / 10, higher=True
    )
    heights = Heights.of(far)
    assert heights.is_cut
    assert heights.shown(-1e6) == heights.worst
    assert heights.worst > -5
    assert any("worse than" in text for text in words(draw_values(far)))
    assert not Heights.of(sweep(GRID, loss)).is_cut
