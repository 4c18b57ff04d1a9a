"""The fraction of the variance that a parameter explains: held against SciPy's F test."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from scipy import stats

from annpipe.spec.sections.axes import Axis
from annpipe.sweep.figures.importance import TrialPoint, draw_importance, explained_variance, points_of
from annpipe.sweep.figures.scales import Scale
from annpipe.sweep.results.table import Goal, Result, SweepResult
from tests.sweep.figures.swept import GRID, LAYER, LR, loss, sweep


def test_importance_is_what_a_parameter_explains_alone() -> None:
    """ε² by SciPy's F test; on a full grid without noise the main effects, and the rest their interplay."""
    rng = random.Random(1)
    noisy = sweep(GRID | {"seed": [0], "train.batch_size": [16, 32]}, lambda values: loss(values) + rng.gauss(0, 0.3))
    points = points_of(noisy)
    for path in (LR, LAYER, "train.batch_size"):
        levels: dict[Any, list[float]] = {}
        for point in points:
            levels.setdefault(point.values[path], []).append(point.height)
        n, k, f = len(points), len(levels), stats.f_oneway(*levels.values()).statistic
        expected = max(0.0, (k - 1) * (f - 1) / ((k - 1) * f + n - k))
        assert explained_variance(points, Scale.of(noisy, path)) == pytest.approx(expected)
    added = sweep({"a": [0, 1, 2, 3], "b": [0, 4]}, lambda values: values["a"] + values["b"] + 10.0)
    both = [TrialPoint(one.values, one.finals["val/loss"]) for one in added.results]
    assert explained_variance(both, Scale.of(added, "b")) > explained_variance(both, Scale.of(added, "a"))
    assert draw_importance(sweep({LR: GRID[LR][:3], LAYER: GRID[LAYER]}, loss)) is None  # nine points say little


def test_importance_of_numbers_drawn_at_random() -> None:
    """Ranges serve as levels: what matters is found, what does not has next to nothing."""
    rng = random.Random(2)
    results = []
    for number in range(100):
        values = {"lr": 10 ** rng.uniform(-4, 0), "decay": 10 ** rng.uniform(-6, -2)}
        final = 1 + (math.log10(values["lr"]) + 2) ** 2 + rng.gauss(0, 0.1)
        results.append(Result(number, values, None, "FINISHED", {"val/loss": final}))
    swept = SweepResult("small", (Axis("lr", ()), Axis("decay", ())), Goal("val/loss", False), tuple(results))
    shares = {path: explained_variance(points_of(swept), Scale.of(swept, path)) for path in ("lr", "decay")}
    assert shares["lr"] > 0.8
    assert shares["decay"] < 0.15
