"""The loss of an epoch out of those of its steps, however many rows and labels each of them saw."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch
from torch.nn import functional

from annpipe.train.tally import LoopState, Tally, added, divided, step_losses

DRAW = torch.Generator().manual_seed(2)
SCORES = torch.randn(11, 3, generator=DRAW, dtype=torch.float64)
LABELS = torch.randint(3, (11,), generator=DRAW)
WEIGHT = torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64)
STEPS = (slice(0, 4), slice(4, 8), slice(8, 11))


def test_the_losses_of_steps_are_sums_of_their_terms() -> None:
    """Of the values, not of the divisors behind them; without terms they are the losses themselves."""
    figures = torch.tensor([[[1.0, 2.0, 30.0, 40.0]], [[3.0, 4.0, 50.0, 60.0]]])
    assert step_losses(figures, 2).tolist() == [[3.0], [7.0]]
    assert step_losses(figures, 0) is figures


def test_a_mean_over_rows_weighs_each_step_by_its_rows() -> None:
    """The last step has fewer."""
    tally, squares = Tally(), SCORES[:, 0].square()
    for rows in STEPS:
        tally.take(squares[rows].mean().item(), len(squares[rows]), [False])
    assert tally.over_rows([False]) == pytest.approx(squares.mean().item(), rel=1e-12)


def test_labels_weigh_what_they_weigh_in_all_rows() -> None:
    """A loss of weighted labels and a sum beside it, each with its own divisor."""
    tally = Tally()
    for rows in STEPS:
        value = functional.cross_entropy(SCORES[rows], LABELS[rows], WEIGHT).item()
        summed = SCORES[rows].square().sum().item()
        tally.take(
            value + summed, len(LABELS[rows]), [False, True], [value, summed, WEIGHT[LABELS[rows]].sum().item(), 1.0]
        )
    whole = functional.cross_entropy(SCORES, LABELS, WEIGHT) + SCORES.square().sum()
    assert tally.over_rows([False, True]) == pytest.approx(whole.item(), rel=1e-12)


def test_a_sum_adds_up() -> None:
    """Whatever the rows of its steps."""
    tally = Tally()
    for rows in STEPS:
        tally.take(SCORES[rows].sum().item(), len(SCORES[rows]), [True])
    assert tally.over_rows([True]) == pytest.approx(SCORES.sum().item(), rel=1e-12)


@pytest.mark.parametrize("figures", [None, [2.0, 3.0]])
def test_an_epoch_is_forgotten_when_it_is_over(figures: list[float] | None) -> None:
    """The next one begins anew; of no rows there is no loss."""
    tally = Tally()
    for _ in range(2):
        tally.take(2.0, 4, [False], figures)
        assert tally.over_rows([False]) == 2.0
    assert tally == Tally()
    assert math.isnan(tally.over_rows([False]))


def test_a_step_in_which_no_label_counts_adds_nothing() -> None:
    """Torch's mean over none is nan; an epoch of such steps alone has no loss."""
    counted = added([], [1.5, 4.0], [False])
    assert added(counted, [math.nan, 0.0], [False]) == counted == [6.0, 4.0]
    assert divided(counted, [False]) == 1.5
    assert math.isnan(divided(added([], [math.nan, 0.0], [False]), [False]))


@pytest.mark.parametrize(("higher", "best"), [(False, (1.0, 3)), (True, (4.0, 2))])
def test_the_best_value_is_the_first_of_its_kind(higher: bool, best: tuple[float, int]) -> None:
    """One that is not finite is never the best, though it is the latest."""
    state = LoopState()
    for epoch, value in enumerate((math.nan, 4.0, 1.0, 4.0, 1.0, -math.inf, math.inf, math.nan), start=1):
        state.note("val/loss", value, epoch, higher=higher)
    assert state.best == {"val/loss": best}
    assert math.isnan(state.latest["val/loss"])


def test_a_checkpoint_holds_the_whole_state() -> None:
    """What is written as a mapping is the state again."""
    state = LoopState(loss_sum=1.0, loss_rows=2, latest={"a": 1.0}, best={"a": (1.0, 2)}, ended_by="x", restore="y")
    assert LoopState(**asdict(state)) == state
