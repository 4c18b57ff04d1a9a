"""How long a run is: epochs, steps that are no whole number of epochs, or the seconds that end it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from annpipe.train.loop.checkpoint import load_checkpoint, save_checkpoint
from annpipe.train.loop.evaluate import evaluate
from tests.comparing import hold_equal
from tests.train.loop.interruptible import SPEC

ENDLESS = ["train.epochs=1000000000", "scheduler=null", "callbacks=[]"]


@pytest.mark.parametrize("steps", [3, 5, 13])
def test_a_run_of_steps_ends_within_an_epoch(steps: int, fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first steps of a longer run (five an epoch), bit for bit; the last look comes where it ends."""
    monkeypatch.setattr("annpipe.train.schedule.MOST_STEPS", 1)
    how = ["train.epochs=null", "callbacks=[]"]
    run = fit(SPEC, *how, f"train.steps={steps}")
    assert run.loop.gear.step == steps
    longer = fit(SPEC, *how, "train.steps=20", stop_at=steps)
    assert all(torch.equal(a, b) for a, b in zip(run.parameters, longer.parameters, strict=True))
    epochs = -(-steps // 5)
    assert list(run.told.series["train/loss"]) == list(range(1, epochs + 1))
    assert list(run.told.series["val/loss"]) == list(range(1, epochs + 1))
    assert run.told.series["val/loss"][epochs] == evaluate(run.plan, run.parts, run.parts.rows["val"])["loss"]


def test_the_loss_of_the_epoch_that_a_run_ends_in_is_the_mean_of_its_steps(fit: Any) -> None:
    """With a learning rate of 0 and no dropout the first two batches of 8 are two batches of that epoch's order."""
    how = ["train.epochs=null", "callbacks=[]", "scheduler=null", "optimizer.Adam.lr=0", "model.3.Dropout=0"]
    two = fit(SPEC, *how, "train.steps=7").told.series["train/loss"]
    one = fit(SPEC, *how, "train.steps=6").told.series["train/loss"]
    whole = fit(SPEC, *how, "train.steps=10").told.series["train/loss"]
    assert two[1] == one[1] == whole[1]
    assert len({two[2], one[2], whole[2]}) == 3
    last = fit(SPEC, *how, "train.steps=6", "train.batch_size=35")  # every step is an epoch
    assert list(last.told.series["train/loss"]) == [1, 2, 3, 4, 5, 6]


def test_a_run_of_steps_goes_on_exactly(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after any step, also in the epoch that it ends in."""
    how = ["train.epochs=null", "train.steps=8", "callbacks.0.early_stopping.patience=9"]
    whole = fit(SPEC, *how)
    monkeypatch.setattr("annpipe.train.schedule.MOST_STEPS", 1)
    for at in range(1, 8):
        first = fit(SPEC, *how, stop_at=at)
        second = fit(SPEC, *how, resume=True)
        hold_equal(second, whole)
        for key, points in whole.told.series.items():
            assert {**first.told.series.get(key, {}), **second.told.series.get(key, {})} == points, key


def test_seconds_end_a_run_wherever_it_is(fit: Any) -> None:
    """Complete, with an event, a last look and the loss of the epoch that had begun."""
    run = fit(SPEC, *ENDLESS, "train.max_seconds=0.3")
    step = run.loop.gear.step
    assert run.told.messages == [f"ended after step {step}: its 0.3 seconds are over"]
    assert run.loop.is_done
    assert 0.3 <= run.loop.memory.seconds < 5
    epochs = -(-step // 5)
    assert list(run.told.series["train/loss"]) == list(range(1, epochs + 1))
    assert run.told.series["val/loss"][epochs] == evaluate(run.plan, run.parts, run.parts.rows["val"])["loss"]


def test_seconds_before_an_interruption_count(fit: Any, tmp_path: Any) -> None:
    """Half a minute is nearly over when the run is interrupted: it does not begin anew."""
    fit(SPEC, *ENDLESS, "train.max_seconds=30", stop_at=11)
    kept = load_checkpoint(tmp_path, "last")
    assert 0 < kept["memory"]["seconds"] < 30
    kept["memory"]["seconds"] = 29.9
    save_checkpoint(tmp_path, "last", kept)
    run = fit(SPEC, *ENDLESS, "train.max_seconds=30", resume=True)
    assert run.loop.is_done
    assert 30 <= run.loop.memory.seconds < 35


def test_enough_seconds_change_nothing(fit: Any) -> None:
    """The run is the one without a bound, and says nothing of it."""
    whole, bounded = fit(SPEC), fit(SPEC, "train.max_seconds=3600")
    hold_equal(bounded, whole)
    assert bounded.told.messages == whole.told.messages


def test_a_run_that_its_seconds_end_is_finished(go: Any) -> None:
    """With its model and final values."""
    gone = go(SPEC, *ENDLESS, "train.max_seconds=0.2")
    assert gone.outcome.status == "FINISHED"
    assert {"train/loss", "val/loss"} <= gone.outcome.values.keys()
    assert (gone.folder / "model" / "weights.safetensors").is_file()


def test_the_plan_says_its_length(planned: Any, annpipe_here: Any, tmp_path: Any) -> None:
    """As YAML that resolves to the same plan, and to a person."""
    plan = planned(SPEC, "train.epochs=null", "train.steps=12", "train.max_seconds=60")
    assert planned(plan.to_yaml()) == plan
    (tmp_path / "plan.yaml").write_text(plan.to_yaml(), encoding="utf-8")
    _, out, _ = annpipe_here("plan", "plan.yaml")
    assert "train      12 steps or 60 seconds, a step is 8 rows" in out
