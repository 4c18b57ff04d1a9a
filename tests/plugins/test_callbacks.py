"""Callbacks, driven look by look: when they stop, keep and restore, and that they can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from annpipe import Look, OptionError
from annpipe_std.callbacks import Checkpoint, EarlyStopping


@dataclass
class Asked:
    """What a callback asked for, with the epoch."""

    epoch: int = 0
    stopped: list[int] = field(default_factory=list)
    kept: list[tuple[int, str]] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def stop(self, reason: str) -> None:
        self.stopped.append(self.epoch)
        self.reasons.append(reason)

    def keep(self, name: str) -> None:
        self.kept.append((self.epoch, name))


def driven(
    callback: Any, values: Iterable[float | None], key: str = "val/loss", first: int = 1, every: int = 1
) -> Asked:
    """Shows the callback one look after another until it stops the run; None is a look without a value."""
    asked = Asked()
    latest: dict[str, float] = {"train/loss": 1.0}
    for number, value in enumerate(values):
        asked.epoch = first + number * every
        latest |= {} if value is None else {key: value}
        look = Look(asked.epoch, asked.epoch * 10, dict(latest), asked.stop, asked.keep, asked.restored.append)
        callback.on_look(look)
        if asked.stopped:
            break
    return asked


def test_early_stopping_ends_a_run_that_no_longer_improves() -> None:
    """`patience` epochs after the best one, and it says why."""
    asked = driven(EarlyStopping(patience=3), [5, 4, 3, 3.5, 3.1, 3.2, 3.3])
    assert asked.stopped == [6]
    assert asked.reasons == ["val/loss has not improved for 3 epochs"]
    assert asked.kept[-1] == (3, "best_val_loss")
    assert asked.restored[-1] == "best_val_loss"


def test_early_stopping_lets_an_improving_run_go_on() -> None:
    """Small gains count unless `min_delta` says otherwise."""
    falling = [1 - 0.01 * n for n in range(20)]
    assert not driven(EarlyStopping(patience=2), falling).stopped
    assert driven(EarlyStopping(patience=8, min_delta=0.05), falling).stopped == []
    assert driven(EarlyStopping(patience=2, min_delta=0.5), falling).stopped == [3]


def test_a_value_that_stays_the_same_is_no_improvement() -> None:
    """An accuracy stuck at 0.75 ends the run."""
    assert driven(EarlyStopping(patience=3, goal="maximize"), [0.5, 0.75] + [0.75] * 9).stopped == [5]


def test_patience_counts_epochs_not_looks() -> None:
    """Whether the run looks each epoch or each tenth, the same stretch passes."""
    assert driven(EarlyStopping(patience=20), [3, 2] + [2.5] * 9, first=10, every=10).stopped == [40]


def test_nan_is_never_an_improvement() -> None:
    """Neither as the first value nor later."""
    nan = float("nan")
    asked = driven(EarlyStopping(patience=3), [nan, 2, nan, nan, nan, nan])
    assert asked.kept == [(2, "best_val_loss")]
    assert asked.stopped == [5]


def test_restoring_can_be_left_out() -> None:
    """Then nothing is kept either."""
    asked = driven(EarlyStopping(patience=2, restore_best=False), [3, 4, 5, 6])
    assert (asked.kept, asked.restored, asked.stopped) == ([], [], [3])


@pytest.mark.parametrize("callback", [EarlyStopping(monitor="val/los"), Checkpoint(best="val/los")])
def test_a_metric_that_does_not_exist_is_refused_at_once(callback: Any) -> None:
    """When its split is known, and the metrics that exist are named."""
    with pytest.raises(OptionError, match="no metric 'val/los'") as caught:
        driven(callback, [3.0])
    assert caught.value.help == "the metrics of this run are train/loss, val/loss"
    assert caught.value.option in ("monitor", "best")


def test_a_metric_may_come_after_the_first_looks() -> None:
    """The split may be evaluated later, but not later than the patience."""
    assert not driven(EarlyStopping(patience=3), [None, None, 2.0, 1.0]).stopped
    with pytest.raises(OptionError, match="no metric 'val/loss'"):
        driven(EarlyStopping(patience=3), [None] * 5)


def test_checkpoints_are_kept_every_so_many_epochs() -> None:
    """Also when the looks do not fall on the multiples."""
    asked = driven(Checkpoint(every=4), [1.0] * 5, first=3, every=3)
    assert asked.kept == [(6, "epoch_6"), (9, "epoch_9"), (12, "epoch_12")]


def test_the_best_checkpoint_is_kept_at_each_new_best() -> None:
    """Small or large values, as the goal says."""
    values = [0.5, 0.7, 0.6, 0.9]
    up = driven(Checkpoint(best="val/accuracy", goal="maximize"), values, key="val/accuracy")
    assert up.kept == [(1, "best_val_accuracy"), (2, "best_val_accuracy"), (4, "best_val_accuracy")]
    assert driven(Checkpoint(best="val/loss"), values).kept == [(1, "best_val_loss")]


def test_a_checkpoint_callback_that_keeps_nothing_is_refused() -> None:
    """It would be there for nothing."""
    with pytest.raises(OptionError, match="nothing to keep"):
        Checkpoint()


MAKERS: list[Callable[[], Any]] = [
    lambda: EarlyStopping(patience=3),
    lambda: Checkpoint(every=2, best="val/loss"),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("cut", range(6))
def test_resumed_equals_never_interrupted(make: Callable[[], Any], cut: int) -> None:
    """The state goes through JSON, at any look, and the decisions stay the same."""
    values = [5, 3, 4, 2, 3, 3, 3, 1]
    whole = driven(make(), values)
    first, second = make(), make()
    before = driven(first, values[:cut])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    after = driven(second, values[cut:], first=1 + cut)
    assert before.kept + after.kept == whole.kept
    assert before.stopped + after.stopped == whole.stopped
    assert after.restored[-1:] == whole.restored[-1:]
