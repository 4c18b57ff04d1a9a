"""Keys of a run's metrics, which of them have values while it trains, and who watches one that has none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import OutputHead
from annpipe.draft.metric_keys import (
    followed_metric,
    large_is_good,
    metric_keys,
    run_metrics,
    unknown_metrics,
    watched_keys,
)
from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.traits import SchedulerTraits

LOSS = Component("loss", "L1Loss", {})


def metrics(*names: str) -> list[Component]:
    return [Component("metric", name, {}) for name in names]


def head(name: str, *names: str) -> OutputHead:
    return OutputHead(name, (), LOSS, 1.0, tuple(metrics(*names)))


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["R2Score"], ["r2_score"]),
        (["MeanAbsoluteError", "AUROC", "F1Score", "own"], ["mean_absolute_error", "auroc", "f1_score", "own"]),
        (["Accuracy", "Accuracy", "R2Score", "Accuracy"], ["accuracy", "accuracy_2", "r2_score", "accuracy_3"]),
        (["HTTPError2Count"], ["http_error2_count"]),
        ([], []),
    ],
)
def test_a_key_is_the_name_in_small_letters(names: list[str], keys: list[str]) -> None:
    """A second one of a name is numbered."""
    made = metrics(*names)
    assert list(metric_keys(made)) == keys
    assert list(metric_keys(made).values()) == made


def test_metrics_of_heads_stand_below_the_head() -> None:
    """Beside those of the run."""
    found = run_metrics(metrics("R2Score"), [head("kind", "Accuracy"), head("price", "R2Score", "R2Score")])
    assert {key: name for key, (_, name) in found.items()} == {
        "r2_score": None,
        "kind/accuracy": "kind",
        "price/r2_score": "price",
        "price/r2_score_2": "price",
    }


@pytest.mark.parametrize(
    ("has_val", "has_scheduler", "keys"),
    [
        (False, False, ["train/loss"]),
        (False, True, ["train/loss", "lr"]),
        (True, False, ["train/loss", "val/loss", "val/kind/loss", "val/r2_score", "val/kind/accuracy"]),
    ],
)
def test_keys_that_can_be_watched(has_val: bool, has_scheduler: bool, keys: Sequence[str]) -> None:
    """The losses and metrics of val, where rows are held out for it."""
    found = watched_keys(metrics("R2Score"), [head("kind", "Accuracy")], has_val=has_val, has_scheduler=has_scheduler)
    assert found == keys


KEY = Parameter("metric", "metric_key | None")
WATCHING = Entry("callback", "stop", "own:stop", (KEY, Parameter("n", "str")), "", Origin())


@pytest.mark.parametrize(
    ("options", "keys", "by", "help_"),
    [
        ({"metric": "val/loss"}, ["train/loss", "val/loss"], None, None),
        ({"metric": None, "n": "val/loss"}, ["train/loss"], None, None),
        ({"metric": "val/loss"}, ["train/loss"], None, "hold rows out for it"),
        ({"metric": "val/loss"}, ["train/loss"], "part", "let the column 'part' say val"),
        ({"metric": "val/los"}, ["train/loss", "val/loss"], None, "did you mean 'val/loss'?"),
        ({"metric": "xyz"}, ["train/loss"], None, "the metrics of this run are train/loss"),
    ],
)
def test_a_metric_that_will_have_no_value_is_a_problem(
    options: dict[str, object], keys: list[str], by: str | None, help_: str | None
) -> None:
    """Only options that name one count."""
    problems = list(unknown_metrics([Component("callback", "stop", options, entry=WATCHING)], keys, by))
    assert [problem.code for problem in problems] == ([] if help_ is None else ["unknown-metric"])
    assert all((help_ or "") in (problem.help or "") for problem in problems)


@pytest.mark.parametrize(
    ("options", "has_val", "key"),
    [({}, True, "val/loss"), ({}, False, "train/loss"), ({"metric": "val/accuracy"}, True, "val/accuracy")],
)
def test_a_scheduler_may_follow_a_metric(options: dict[str, object], has_val: bool, key: str) -> None:
    """The one that it names, else a loss; others step by themselves."""
    traits = SchedulerTraits(steps_on="metric")
    entry = Entry("scheduler", "own", "own:own", (KEY,), "", Origin(), traits=traits)
    assert followed_metric(Component("scheduler", "own", options, entry=entry), has_val=has_val) == key
    plain = Entry("scheduler", "own", "own:own", (), "", Origin())
    assert followed_metric(Component("scheduler", "own", {}, entry=plain), has_val=True) is None
    assert followed_metric(None, has_val=True) is None


@pytest.mark.parametrize(("says", "is_good"), [(True, True), (False, False), (None, False)])
def test_a_metric_says_which_values_are_good(says: bool | None, is_good: bool) -> None:
    """By an attribute of its class; one without is small at its best."""
    cls = type("Own", (), {} if says is None else {"higher_is_better": says})
    entry = Entry("metric", "Own", "own:Own", (), "", Origin(), loaded=cls)
    assert large_is_good(Component("metric", "Own", {}, entry=entry)) is is_good
