"""The table of a sweep's results: its order, its best trial, its groups, and how it is written."""

from __future__ import annotations

import json

from annpipe.cli.views.sweep import _groups
from annpipe.spec.sections.axes import Axis
from annpipe.sweep.results.table import (
    Goal,
    Result,
    SweepResult,
    as_csv,
    as_log_table,
    groups_as_log_table,
    values_in_words,
)
from tests.sweep.figures.swept import LAYER, LR


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


def test_a_trial_is_called_by_its_values() -> None:
    """Short names where they differ, paths where they do not; mappings without signs."""
    assert (
        values_in_words({LR: 0.001, LAYER: {"LeakyReLU": 0.2}, "seed": 3}) == "lr 0.001, model.1 LeakyReLU 0.2, seed 3"
    )
    assert values_in_words({"optimizer.Adam.lr": 0.1, "optimizer.groups.0.lr": 1e-5}) == (
        "optimizer.Adam.lr 0.1, optimizer.groups.0.lr 1e-05"
    )
