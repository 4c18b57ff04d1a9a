"""The loop: stopping and going on, evaluating, early stopping, what is best and last, and numbers that run away."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.errors import NonFinite, NonFiniteLoss
from annpipe.train.gears.eager.guard import Guard
from annpipe.train.loop import evaluate as evaluation
from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.evaluate import evaluate, predict
from tests.comparing import hold_equal
from tests.train.loop.interruptible import SPEC

STEPS = 4 * 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        ([], STEPS),
        (["scheduler={ReduceLROnPlateau: {patience: 0}}"], STEPS),
        (["train.accumulate=2", "train.clip_norm=0.5", "train.scheduler_each=step"], 4 * 3),
        (["device.autocast=float16"], STEPS),
    ],
)
def test_a_run_interrupted_after_any_step_ends_as_if_it_never_was(
    overrides: list[str], steps: int, fit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is stopped after another step (mid-epoch and between epochs) and taken up again."""
    whole = fit(SPEC, *overrides)
    assert whole.loop.gear.step == steps
    monkeypatch.setattr("annpipe.train.schedule.MOST_STEPS", 1)
    for at in range(1, steps):
        first = fit(SPEC, *overrides, stop_at=at)
        assert first.loop.gear.step == at
        second = fit(SPEC, *overrides, resume=True)
        hold_equal(second, whole)
        for key, points in whole.told.series.items():
            merged = {**first.told.series.get(key, {}), **second.told.series.get(key, {})}
            assert merged == points, key


def test_a_second_interruption_changes_nothing_either(fit: Any) -> None:
    """Stopped at step 3, and again at step 11."""
    whole = fit(SPEC)
    fit(SPEC, stop_at=3)
    fit(SPEC, stop_at=11, resume=True)
    hold_equal(fit(SPEC, resume=True), whole)


def test_where_the_pauses_fall_changes_no_number(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step at a time, or as many as there are to the next look."""
    whole = fit(SPEC)
    monkeypatch.setattr("annpipe.train.schedule.MOST_STEPS", 1)
    single = fit(SPEC)
    hold_equal(single, whole)
    assert single.told.series == whole.told.series


def test_early_stopping_ends_with_the_parameters_of_the_best_epoch(fit: Any) -> None:
    """A rate so high that it soon gets worse: the val loss at the end is the best one, not the last."""
    spec = SPEC.replace("checkpoint: {every: 2}", "").replace("StepLR: {step_size: 2, gamma: 0.7}", "StepLR: 1")
    run = fit(spec, "train.epochs=200", "optimizer.Adam.lr=0.3", "scheduler=null")
    losses = run.told.series["val/loss"]
    best_epoch = min(losses, key=lambda epoch: (losses[epoch], epoch))
    assert max(losses) == best_epoch + 3 < 200
    assert run.told.messages == [f"stopped after epoch {best_epoch + 3}: val/loss has not improved for 3 epochs"]
    assert run.loop.memory.best["val/loss"] == (losses[best_epoch], best_epoch)
    found = evaluate(run.plan, run.parts, run.parts.rows["val"])
    assert found["loss"] == losses[best_epoch]
    last = fit(spec.replace("patience: 3", "patience: 3, restore_best: false"),
               "train.epochs=200", "optimizer.Adam.lr=0.3", "scheduler=null")  # fmt: skip
    assert evaluate(last.plan, last.parts, last.parts.rows["val"])["loss"] == losses[best_epoch + 3]


def test_the_checkpoint_callback_keeps_what_it_was_asked_to(fit: Any, tmp_path: Path) -> None:
    """Every second epoch and the best one, each with the parameters it had then; `last` beside them."""
    spec = SPEC.replace("checkpoint: {every: 2}", "checkpoint: {every: 2, best: val/loss}")
    whole = fit(spec, "callbacks.0.early_stopping.patience=100", "callbacks.0.early_stopping.restore_best=false")
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()} - {".last.old"}
    assert kept == {"last", "epoch_2", "epoch_4", "best_val_loss"}
    second = load_checkpoint(tmp_path, "epoch_2")
    assert second["gear"]["step"] == 10
    best = load_checkpoint(tmp_path, "best_val_loss")
    assert best["gear"]["step"] == 5 * whole.loop.memory.best["val/loss"][1]
    fit(spec, stop_at=10)
    at_10 = load_checkpoint(tmp_path, "last")["gear"]["model"]
    assert all(torch.equal(tensor, second["gear"]["model"][name]) for name, tensor in at_10.items())


def test_metrics_have_their_keys_and_numbers(fit: Any) -> None:
    """val/…, in snake case, equal to the formulas on the model's own predictions."""
    run = fit(SPEC, "callbacks=[]", "metrics=[MeanAbsoluteError, R2Score, {Accuracy: 0.1}, {Accuracy: 0.9}]")
    keys = {"val/loss", "val/mean_absolute_error", "val/r2_score", "val/accuracy", "val/accuracy_2"}
    assert keys | {"train/loss", "lr"} == set(run.told.series)  # lr: there is a scheduler
    rows = run.parts.rows["val"]
    prediction = predict(run.parts.model, rows.x).double()
    error = prediction - rows.y.double()
    expected = {
        "loss": error.square().mean().item(),
        "mean_absolute_error": error.abs().mean().item(),
        "r2_score": 1 - error.square().sum().item() / (rows.y - rows.y.mean()).double().square().sum().item(),
        "accuracy": ((prediction > 0.1) == (rows.y > 0.5)).double().mean().item(),
        "accuracy_2": ((prediction > 0.9) == (rows.y > 0.5)).double().mean().item(),
    }
    found = evaluate(run.plan, run.parts, rows)
    assert found == pytest.approx(expected, rel=1e-5)
    assert {f"val/{key}": value for key, value in found.items()} == {
        key: value for key, value in run.loop.memory.latest.items() if key.startswith("val/")
    }


@pytest.mark.parametrize("block", [1, 5, 46, 47, 1000])
def test_evaluating_in_blocks_equals_the_whole_at_once(block: int, fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one row, with a smaller last one, exactly full; dropout and batch norm in evaluation mode."""
    run = fit(SPEC, "data.split.val=0.0", "callbacks=[]", "device.precision=float64")
    rows = run.parts.rows["train"]
    monkeypatch.setattr(evaluation, "BLOCK", block)
    run.parts.model.eval()
    with torch.no_grad():
        whole = run.parts.model(rows.x)
    run.parts.model.train()
    torch.testing.assert_close(predict(run.parts.model, rows.x), whole, rtol=1e-12, atol=1e-12)
    found = evaluate(run.plan, run.parts, rows)
    assert found["loss"] == pytest.approx((whole - rows.y).square().mean().item(), rel=1e-12)
    assert found["mean_absolute_error"] == pytest.approx((whole - rows.y).abs().mean().item(), rel=1e-12)
    assert run.parts.model.training


def test_the_best_is_the_first_of_the_smallest_or_largest(fit: Any) -> None:
    """A loss is best where small, a metric that says so where large."""
    run = fit(SPEC, "callbacks=[]", "train.epochs=30")
    for key, (value, epoch) in run.loop.memory.best.items():
        points = run.told.series[key]
        assert value == min(points.values())  # without `higher_is_better` all are errors
        assert epoch == min(epoch for epoch, found in points.items() if found == value)
    run.loop.memory.best.clear()
    for epoch, value in enumerate([0.5, math.nan, 0.9, math.inf, 0.9, 0.1], start=1):
        run.loop.memory.note("val/score", value, epoch, higher=True)
    assert run.loop.memory.best["val/score"] == (0.9, 3)


def test_epochs_between_evaluations(fit: Any) -> None:
    """Every third one, and the last."""
    run = fit(SPEC, "train.epochs=7", "train.evaluate_every=3", "callbacks=[]")
    assert list(run.told.series["val/loss"]) == [3, 6, 7]
    assert list(run.told.series["train/loss"]) == list(range(1, 8))


def test_double_precision_reaches_data_and_parameters_and_nothing_else(fit: Any) -> None:
    """And is the default no longer when the run is over."""
    run = fit(SPEC, "device.precision=float64")
    assert {tensor.dtype for tensor in run.parameters} == {torch.float64}
    assert run.parts.rows["val"].x.dtype == run.parts.rows["val"].y.dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32
    assert {tensor.dtype for tensor in fit(SPEC).parameters} == {torch.float32}


WITNESS = '''
import torch
from annpipe import layer

@layer
class Witness(torch.nn.Module):
    """Passes on what comes, and says how it is computed."""
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and x.device.type == "cpu":
            print("witness", torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), flush=True)
        return x
'''
WITNESSED = """
version: 1
name: witness
plugins: [./witness.py]
device: DEVICE
data: {table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}
model: [Witness, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 2}
"""


@pytest.mark.parametrize(
    ("device", "deterministic", "threads"),
    [
        ("{type: cpu, threads: 2}", False, "2"),
        ("{type: cpu, deterministic: true}", True, "1"),
        ("{type: cpu, deterministic: true, threads: 2}", True, "2"),
    ],
)
def test_deterministic_and_the_number_of_threads_are_honoured(
    device: str, deterministic: bool, threads: str, go: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Seen from inside a layer, and over when the run is."""
    done = go(WITNESSED.replace("DEVICE", device), witness=WITNESS)
    assert done.outcome.status == "FINISHED"
    seen = [line.split()[1:] for line in capfd.readouterr().out.splitlines() if line.startswith("witness")]
    assert seen == [[str(deterministic), threads]] * 2
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_loss_that_is_not_finite_ends_the_run_at_its_step(fit: Any, tmp_path: Path) -> None:
    """The step is named, the point is told, and the last checkpoint is a finite one."""
    message = r"the loss became (nan|inf) at step \d+; the last finite checkpoint is kept in checkpoints/last"
    with pytest.raises(NonFiniteLoss, match=message):
        fit(SPEC, "optimizer={SGD: {lr: 1.0e30}}", "callbacks=[]")
    model = load_checkpoint(tmp_path, "last")["gear"]["model"]
    assert all(bool(tensor.isfinite().all()) for tensor in model.values())


EXPLODING = '''
import torch
from annpipe import loss

@loss
class Cliff(torch.nn.Module):
    """A finite loss whose gradient is infinite where prediction and target meet: sqrt|d| at d = 0."""
    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (prediction - target).abs().sqrt().mean()
'''
CLIFF = """
version: 1
name: cliff
plugins: [./cliff.py]
device: {type: cpu, threads: 1}
data: {table: {inputs: {x: [0, 0]}, targets: {y: [0, 0]}}}
model: [Linear: {out_features: 1, bias: false}]
loss: Cliff
optimizer: {SGD: {lr: 0.1}}
train: {epochs: EPOCHS, checkpoint_seconds: 1.0e-9}
"""


def test_parameters_that_are_not_finite_never_replace_a_checkpoint(fit: Any, tmp_path: Path) -> None:
    """The first step's loss is 0, its gradient nan: the step is not taken, and the checkpoint from before it stays."""
    with pytest.raises(NonFinite, match="the gradients are not finite at step 1; look for nan"):
        fit(CLIFF.replace("EPOCHS", "3"), cliff=EXPLODING)
    kept = load_checkpoint(tmp_path, "last")["gear"]
    assert kept["step"] == 0
    assert bool(kept["model"]["0.weight"].isfinite().all())


def test_a_run_whose_last_step_leaves_no_finite_parameters_has_failed(
    fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later step's loss would tell, and the model would answer nan; here nobody looks at gradients."""
    monkeypatch.setattr(Guard, "lets", lambda guard, loss, step: True)
    with pytest.raises(NonFinite, match="the parameters became nan or infinite at step 1; look for nan"):
        fit(CLIFF.replace("EPOCHS", "1"), cliff=EXPLODING)
    assert load_checkpoint(tmp_path, "last")["gear"]["step"] == 0
