"""Which values a sweep tries, and what repetitions tell: held against itertools and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from annpipe.errors import SpecError
from annpipe.sweep.axes import Axis, combinations, overrides, read_axis
from annpipe.sweep.statistics import spread, student_t
from annpipe.sweep.table import Result, Swept, as_csv, as_log_table
from annpipe.sweep.trials import Goal


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("optimizer.Adam.lr=1e-3,0.01", (1e-3, 0.01)),
        ("model.1=ReLU, Tanh", ("ReLU", "Tanh")),
        ("seed=3..5", (3, 4, 5)),
        ("seed=-1..-1", (-1,)),
        ("train.batch_size=all,32", ("all", 32)),
        ("optimizer={SGD: {lr: 0.1}},Adam", ({"SGD": {"lr": 0.1}}, "Adam")),
        ("optimizer.Adam.betas=[0.9, 0.99],[0.5, 0.9]", ([0.9, 0.99], [0.5, 0.9])),
        ("train.shuffle=true,false", (True, False)),
        ("average=null,EMA", (None, "EMA")),
    ],
)
def test_values_are_read_as_in_a_spec(text: str, values: tuple[object, ...]) -> None:
    """Numbers, words, lists and mappings; a range of whole numbers has both ends."""
    assert read_axis(text) == Axis(text.partition("=")[0], values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer.Adam.lr", "names no path and values"),
        ("=1,2", "names no path and values"),
        ("seed=", "names no path and values"),
        ("seed=5..3", "the range 5..3 has no values"),
        ("seed=0..99999", "over 10,000 values"),
        ("model.1=[ReLU", "cannot be read"),
        ("seed=1,2,1", "`seed` takes 1 twice"),
    ],
)
def test_values_that_cannot_be_read(text: str, message: str) -> None:
    """The place is in the command line."""
    with pytest.raises(SpecError, match=message.replace("[", r"\[")) as caught:
        read_axis(text)
    assert all(problem.place and problem.place.on_command_line for problem in caught.value.problems)


def test_combinations_are_the_product() -> None:
    """The last axis turns fastest; a path twice and too many trials are refused."""
    axes = [Axis("a", (1, 2)), Axis("b", ("x", "y", "z"))]
    expected = [{"a": a, "b": b} for a, b in itertools.product((1, 2), ("x", "y", "z"))]
    assert combinations(axes) == expected
    assert overrides(expected[1] | {"c": "two words", "d": {"SGD": {"lr": 0.1}}}) == [
        *("a=1", "b=y", 'c="two words"', 'd={"SGD": {"lr": 0.1}}')
    ]
    with pytest.raises(SpecError, match="swept over twice"):
        combinations([axes[0], axes[0]])
    with pytest.raises(SpecError, match="more than 10,000"):
        combinations([Axis(name, tuple(range(30))) for name in "abc"])


@pytest.mark.parametrize("degrees", [*range(1, 41), 60, 100, 1000])
def test_student_s_t_is_that_of_scipy(degrees: int) -> None:
    """From the table, and beyond it."""
    assert student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=6e-4)


def test_the_interval_is_that_of_scipy() -> None:
    """Of random values; one value has no interval, and one that is no number no mean."""
    values = np.random.default_rng(0).normal(3, 2, 9).tolist()
    found = spread(values)
    low, high = stats.t.interval(0.95, 8, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high), rel=1e-4)
    assert found.deviation == pytest.approx(np.std(values, ddof=1))
    assert math.isnan(spread([1.0]).half_width)
    assert spread([1.0]).mean == 1.0
    assert math.isnan(spread([1.0, math.inf]).mean)
    assert spread([]).n == 0


def test_the_best_is_of_the_best_mean() -> None:
    """A lucky seed of worse values is not chosen; failed trials and values that are no numbers stand last."""
    axes = (Axis("lr", (0.1, 0.2)), Axis("seed", (0, 1)))
    losses = [0.0, 10.0, 2.0, 3.0]
    results = tuple(
        Result(number, {"lr": lr, "seed": seed}, None, "FINISHED", {"val/loss": loss})
        for number, (lr, seed, loss) in enumerate(zip((0.1, 0.1, 0.2, 0.2), (0, 1, 0, 1), losses, strict=True))
    )
    swept = Swept("s", axes, Goal("val/loss", higher=False), results)
    assert [group.values for group in swept.groups] == [{"lr": 0.2}, {"lr": 0.1}]
    assert swept.best is not None
    assert swept.best.number == 2
    first = Result(0, {"lr": 0.1}, None, "FINISHED", {"val/loss": 0.0})
    alone = Swept("s", axes[:1], swept.goal, (first, Result(1, {"lr": 0.2}, None, "FAILED")))
    assert alone.best is not None
    assert [result.number for result in alone.ordered()] == [0, 1]
    assert alone.groups == ()
    higher = Swept("s", axes[:1], Goal("val/loss", higher=True), (results[0], results[2]))
    assert higher.best is not None
    assert higher.best.number == 2
    assert as_csv(alone).splitlines() == ["trial,lr,status,val/loss,run", "0,0.1,FINISHED,0.0,", "1,0.2,FAILED,,"]
    assert '"columns": ["trial", "lr", "status", "val/loss", "run"]' in as_log_table(alone)
