"""The figure of repetitions: a row for each group, its mean, its interval, and what is not finite."""

from __future__ import annotations

import math

import pytest

from annpipe.sweep.figures.repeats import draw_repeats
from annpipe.sweep.results.table import best_values
from tests.sweep.figures.swept import LR, loss, sweep, words


def test_repeats_show_mean_and_interval() -> None:
    """In numbers too, the best row first; what is not finite is counted."""
    swept = sweep(
        {LR: [1e-3, 1e-2, 1e-1], "seed": range(4)},
        lambda values: math.nan if values[LR] == 1e-1 and values["seed"] == 3 else loss(values),
    )
    group = swept.groups[0].spread
    shown = words(draw_repeats(swept))
    assert f"{group.mean:.4g} ± {group.half_width:.2g}" in shown
    assert [text for text in shown if text.startswith("lr ")] == ["lr 0.01", "lr 0.001", "lr 0.1"]
    assert "1 of 4 not finite" in shown
    values = best_values(swept)
    assert values["best_trial/val/loss_mean"] == group.mean
    assert values["best_trial/val/loss_high"] - values["best_trial/val/loss_low"] == pytest.approx(2 * group.half_width)
