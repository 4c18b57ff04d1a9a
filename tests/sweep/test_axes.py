"""Which values a sweep tries, and what repetitions tell: held against itertools and scipy."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from annpipe.cli.views.sweep import _groups
from annpipe.errors import Place, SpecError
from annpipe.spec.sections.axes import Axis, AxisFault, Span, axis_of, read_over
from annpipe.spec.sections.sweep import even
from annpipe.spec.yaml.composer import compose
from annpipe.spec.yaml.nodes import plain
from annpipe.sweep.grid import combinations, corners, repeated
from annpipe.sweep.results.statistics import spread, student_t
from annpipe.sweep.results.table import Goal, Result, SweepResult, as_csv, as_log_table, groups_as_log_table


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
    axis = read_axis(text)
    assert (axis.path, axis.values, axis.span) == (text.partition("=")[0], values, None)
    assert [plain(axis.node(value)) for value in axis.values] == list(values)


def read_axis(text: str) -> Axis:
    """As `--over` is read."""
    key, node = read_over(text)
    return axis_of(str(key.value), node, key.place)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer.Adam.lr", "names no path and values"),
        ("=1,2", "names no path and values"),
        ("seed=", "names no path and values"),
        ("model.1=[ReLU", "cannot be read"),
    ],
)
def test_text_that_cannot_be_read(text: str, message: str) -> None:
    """The place is in the command line."""
    with pytest.raises(SpecError, match=message.replace("[", r"\[")) as caught:
        read_over(text)
    assert all(problem.place and problem.place.on_command_line for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=5..3", "the range 5..3 of `seed` has no values"),
        ("seed=0..99999", "over 10,000 values"),
        ("seed=1,2,1", "`seed` takes 1 twice"),
        ("model.1={a: 1},{a: 1}", '`model.1` takes {"a": 1} twice'),
        ("lr={log_uniform: [0, 1]}", "begins at 0, which has no logarithm"),
        ("lr={uniform: [2, 1]}", "goes from 2 to 1"),
        ("lr={uniform: 3}", "`uniform` takes a list; found the number 3"),
        ("lr={uniform: [1, 2, 3]}", "takes the smallest and the largest number"),
        ("lr={range: [1, fast]}", "goes from number to number; found the word 'fast'"),
        ("lr={range: [1, 2, 0]}", "the step of a range must be greater than 0"),
        ("lr={choice: []}", "an empty list of values"),
    ],
)
def test_values_that_lead_nowhere(text: str, message: str) -> None:
    """What a list or a form says wrong."""
    with pytest.raises(AxisFault) as caught:
        read_axis(text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[1, 2]", (1, 2)),
        ("8", tuple(range(8))),
        ("2..4", (2, 3, 4)),
        ("{choice: [3, 1]}", (3, 1)),
        ("{range: [8, 32, 8]}", (8, 16, 24, 32)),
        ("{range: [8, 31, 8]}", (8, 16, 24)),
        ("{range: [0, 0.3, 0.1]}", (0.0, 0.1, 0.2, pytest.approx(0.3))),
    ],
)
def test_seeds_in_a_spec(text: str, values: tuple[object, ...]) -> None:
    """All forms that list their values; a number alone counts where repetitions are meant."""
    node = compose(text, "spec.yaml")
    assert node is not None
    assert axis_of("seed", node, Place("spec.yaml", 1, 1)).values == values


def test_a_number_alone_is_no_list_elsewhere() -> None:
    """A single value is set, not swept."""
    node = compose("3", "spec.yaml")
    assert node is not None
    with pytest.raises(AxisFault, match="must have values to try; found the number 3"):
        axis_of("model.0.Linear", node, Place("spec.yaml", 1, 1))


def test_points_of_a_range() -> None:
    """Even steps from end to end, or even ratios: numpy's own."""
    assert Span(1.0, 2.0).points(5) == pytest.approx(np.linspace(1, 2, 5))
    assert Span(1e-4, 1e-1, is_log=True).points(4) == pytest.approx(np.geomspace(1e-4, 1e-1, 4))
    assert Span(1e-4, 1e-1, is_log=True).points(4)[0] == 1e-4
    assert Span(1.0, 100.0, is_log=True).points(1) == pytest.approx([10.0])
    axes = (Axis("a", (1, 2, 3)), Axis("lr", span=Span(0.0, 1.0)), Axis("w", span=Span(1.0, 4.0)))
    assert [len(axis.values) for axis in even(axes, 64)] == [3, 4, 4]  # 3 * 4 * 4 <= 64 < 3 * 5 * 5
    assert even(axes[:1], None) == axes[:1]


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
    swept = SweepResult("s", axes, Goal("val/loss", higher=False), results)
    assert [group.values for group in swept.groups] == [{"lr": 0.2}, {"lr": 0.1}]
    assert swept.best is not None
    assert swept.best.number == 2
    first = Result(0, {"lr": 0.1}, None, "FINISHED", {"val/loss": 0.0})
    alone = SweepResult("s", axes[:1], swept.goal, (first, Result(1, {"lr": 0.2}, None, "FAILED")))
    assert alone.best is not None
    assert [result.number for result in alone.ordered()] == [0, 1]
    assert alone.groups == ()
    higher = SweepResult("s", axes[:1], Goal("val/loss", higher=True), (results[0], results[2]))
    assert higher.best is not None
    assert higher.best.number == 2
    assert as_csv(alone).splitlines() == ["trial,lr,status,val/loss,run", "0,0.1,FINISHED,0.0,", "1,0.2,FAILED,,"]
    assert '"columns": ["trial", "lr", "status", "val/loss", "run"]' in as_log_table(alone)


def test_a_group_with_a_failed_seed_says_of_how_many_its_mean_is() -> None:
    """In the table, and in the terminal."""
    axes = (Axis("lr", (0.1,)), Axis("seed", (0, 1, 2)))
    results = tuple(
        Result(seed, {"lr": 0.1, "seed": seed}, None, status, finals)
        for seed, (status, finals) in enumerate(
            [("FINISHED", {"val/loss": 1.0}), ("FAILED", {}), ("FINISHED", {"val/loss": 3.0})]
        )
    )
    swept = SweepResult("s", axes, Goal("val/loss", higher=False), results)
    table = json.loads(groups_as_log_table(swept))
    assert dict(zip(table["columns"], table["data"][0], strict=True)).items() >= {"trials": 3, "finished": 2}.items()
    assert _groups(swept)[1][-1] == "2 of 3"
