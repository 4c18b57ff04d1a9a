"""The design of a sweep: how many choices it has, what they are compared by, and when two sweeps are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.errors import NotFound, SpecError
from annpipe.sweep.design import BATCH, MOST_PLANNED, goal_of
from annpipe.sweep.results.table import Goal
from tests.sweep.designs import design

GRID = ("sweep.method=grid", "sweep.trials=null")
RATES = "optimizer.Adam.lr=1e-3,1e-2"
PLAIN = (RATES, "model.1=ReLU,Tanh", "model.0.Linear=4,8,12")


@pytest.mark.parametrize(
    ("changes", "over", "choices", "repeats", "batch"),
    [
        (GRID, PLAIN, 12, 1, 12),
        (GRID, (*PLAIN, "seed=0..2"), 36, 1, 36),
        ((*GRID, "sweep.prune=median"), PLAIN, 12, 1, BATCH),
        ((), (), 6, 1, 6),
        ((), ("seed=0..2",), 2, 3, 2),
        (("sweep.trials=2",), ("seed=0..2",), 1, 3, 1),
        (("sweep.method=tpe",), (), 6, 1, BATCH),
        (("sweep.method=tpe", "sweep.batch=3"), (), 6, 1, 3),
    ],
)
def test_choices_and_their_batches(
    changes: tuple[str, ...], over: tuple[str, ...], choices: int, repeats: int, batch: int, project: Path
) -> None:
    """A grid chooses each run; a method chooses values, each with all seeds. What learns of results waits for them."""
    made = design(project, *changes, over=over)
    assert (made.choices, made.repeats, made.batch) == (choices, repeats, batch)


def test_of_a_small_grid_everything_is_planned_first(project: Path) -> None:
    """And of a very large one each value once."""
    small = design(project, *GRID, over=PLAIN)
    assert small.every_kind == small.combinations
    large = design(project, *GRID, over=(RATES, "model.1=ReLU,Tanh", "model.0.Linear=4", "seed=0..299"))
    assert large.choices == 1200 > MOST_PLANNED
    assert len(large.every_kind) == 300
    for axis in large.axes:
        assert {values[axis.path] for values in large.every_kind} == set(axis.values)


def test_a_range_of_a_method_is_planned_at_both_ends(project: Path) -> None:
    """In a grid it is cut into points."""
    made = design(project)
    assert [values["optimizer.Adam.lr"] for values in made.every_kind] == [1e-4, 1e-1, 1e-1]
    grid = design(project, "sweep.method=grid", "sweep.trials=27")
    (rates,) = [axis.values for axis in grid.axes if axis.path == "optimizer.Adam.lr"]
    assert rates == pytest.approx((1e-4, 10**-2.5, 1e-1))


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        (("sweep.method=tpe",), ()),
        (("sweep.method={sobol: {scramble: false}}",), ()),
        (("sweep.trials=7",), ()),
        (("sweep.goal=maximize",), ()),
        (("sweep.metric=train/loss",), ()),
        (("sweep.prune=median",), ()),
        (("train.epochs=7",), ()),
        (("seed=3",), ()),
        ((), ("model.0.Linear=4,8",)),
        ((), ("optimizer.Adam.lr={uniform: [1e-4, 1e-1]}",)),
        ((), ("train.batch_size=20,30",)),
    ],
)
def test_what_changes_the_trials_changes_the_digest(
    changes: tuple[str, ...], over: tuple[str, ...], project: Path
) -> None:
    """Their values, how they are chosen, what they are compared by, and all that they have in common."""
    assert design(project, *changes, over=over).digest != design(project).digest


@pytest.mark.parametrize("change", ["name=other", "sweep.batch=2", "sweep.retries=3", "description=tried before"])
def test_what_changes_no_result_leaves_the_digest(change: str, project: Path) -> None:
    """So that a sweep goes on under another name."""
    assert design(project, change).digest == design(project).digest


@pytest.mark.parametrize(
    ("changes", "goal"),
    [
        ((), Goal("val/loss", higher=False)),
        (("data.split=null",), Goal("train/loss", higher=False)),
        (("data.split={test: 0.25}",), Goal("train/loss", higher=False)),
        (("sweep.metric=val/r2_score",), Goal("val/r2_score", higher=True)),
        (("sweep.metric=val/r2_score", "sweep.goal=minimize"), Goal("val/r2_score", higher=False)),
        (("sweep.metric=val/mean_absolute_error",), Goal("val/mean_absolute_error", higher=False)),
        (("sweep.goal=maximize",), Goal("val/loss", higher=True)),
    ],
)
def test_trials_are_compared_by_a_goal(changes: tuple[str, ...], goal: Goal, project: Path) -> None:
    """The loss on validation rows, unless the spec says otherwise; a metric knows which of its values are good."""
    assert design(project, "metrics=[R2Score, MeanAbsoluteError]", *changes).goal == goal


def test_a_metric_that_no_trial_has_is_an_error_with_the_nearest(project: Path) -> None:
    """At the place of the spec that names it."""
    with pytest.raises(SpecError, match="no trial has the metric 'val/los'") as caught:
        design(project, "sweep.metric=val/los")
    (problem,) = caught.value.problems
    assert problem.code == "unknown-metric"
    assert "val/loss" in (problem.help or "")
    with pytest.raises(NotFound, match="a trial ends with train/loss, val/loss"):
        goal_of([design(project).base], "accuracy_of_nothing_like_it", None)


def test_trials_are_compared_by_what_all_of_them_have(project: Path) -> None:
    """A plan without validation rows among them leaves the loss on train rows."""
    held, whole = design(project).base, design(project, "data.split=null").base
    assert goal_of([held, held], None, None).metric == "val/loss"
    assert goal_of([held, whole], None, None).metric == "train/loss"
    with pytest.raises(NotFound, match="no trial has the metric 'val/loss'"):
        goal_of([held, whole], "val/loss", None)


def test_a_spec_without_values_to_try_is_no_sweep(project: Path) -> None:
    """The message says how to name some."""
    spec = project / "spec.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").partition("sweep:")[0], encoding="utf-8")
    with pytest.raises(NotFound, match="does not say what to try: give it `sweep:"):
        design(project)
