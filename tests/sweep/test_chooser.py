"""The chooser of a grid: every combination once, in order, in batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from annpipe.sweep.chooser import GridChooser, TrialChoice
from tests.sweep.designs import design

OVER = ("optimizer.Adam.lr=1e-3,1e-2", "model.1=ReLU,Tanh", "model.0.Linear=4,8,12")


@pytest.mark.parametrize(("batch", "sizes"), [("null", [12]), ("5", [5, 5, 2]), ("4", [4, 4, 4])])
def test_a_grid_is_chosen_in_batches(batch: str, sizes: list[int], project: Path) -> None:
    """All at once where nothing says how many; the last batch has what is left."""
    made = design(project, "sweep.method=grid", "sweep.trials=null", f"sweep.batch={batch}", over=OVER)
    chooser = GridChooser(made)
    batches = []
    while not chooser.is_over:
        batches.append(chooser.choose())
    assert [len(each) for each in batches] == sizes
    chosen = [choice for each in batches for choice in each]
    assert [(choice.index, choice.first) for choice in chosen] == [(number, number) for number in range(12)]
    assert [choice.trials for choice in chosen] == [(values,) for values in made.combinations]
    assert chooser.choose() == []


def test_results_change_nothing(project: Path) -> None:
    """Neither a bad value nor a choice that is given back: the next batch is the same."""
    made = design(project, "sweep.method=grid", "sweep.trials=null", "sweep.batch=1", over=OVER)
    chooser = GridChooser(made)
    (first,) = chooser.choose()
    chooser.record(first, [])
    chooser.give_back(first)
    assert not chooser.should_prune(first, 1, float("inf"))
    assert chooser.results_of_others() == []
    assert chooser.choose() == [TrialChoice(1, 1, (made.combinations[1],))]
