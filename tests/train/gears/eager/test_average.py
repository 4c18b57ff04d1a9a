"""Averaged parameters: held against plain torch's swa_utils, evaluated, saved, and kept in checkpoints."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.evaluate import evaluate
from tests.comparing import hold_equal
from tests.plain_torch import stream

X = [math.sin(1.7 * row) for row in range(24)]
Y = [a * a - 0.5 * a for a in X]
SPEC = f"""
version: 1
name: averages
seed: 5
device: {{type: cpu, threads: 1, precision: float64}}
data: {{table: {{inputs: {{x: {json.dumps(X)}}}, targets: {{y: {json.dumps(Y)}}}}}, split: {{val: 0.25}}}}
model: [Linear: 6, BatchNorm1d, Tanh, Dropout: 0.2, Linear: 1]
loss: MSELoss
optimizer: {{SGD: {{lr: 0.1, momentum: 0.9}}}}
train: {{epochs: 8, batch_size: 5}}
"""
EMA, SWA = "average={EMA: {decay: 0.9}}", "average={SWA: {start: 0.5}}"
STEPS = 8 * 4


class ByHand:
    """The plain loop; `averaged` takes the parameters in as torch's documentation says."""

    def __init__(self, kind: str, epochs: int = 8) -> None:
        held = torch.zeros(24, dtype=torch.bool)
        held[torch.randperm(24, generator=torch.Generator().manual_seed(stream("split")))[:6]] = True
        x, y = (torch.tensor(column, dtype=torch.float64)[:, None] for column in (X, Y))
        self.x, self.y, self.x_val, self.y_val = x[~held], y[~held], x[held], y[held]
        torch.manual_seed(stream("init"))
        one, two = nn.Linear(1, 6, dtype=torch.float64), nn.Linear(6, 1, dtype=torch.float64)
        norm = nn.BatchNorm1d(6, dtype=torch.float64)
        self.model = nn.Sequential(one, norm, nn.Tanh(), nn.Dropout(0.2), two)
        self.kind = kind
        ema = get_ema_multi_avg_fn(0.9)  # type: ignore[no-untyped-call]  # torch's own
        self.averaged = AveragedModel(self.model, multi_avg_fn=ema) if kind == "EMA" else AveragedModel(self.model)
        self.val_losses = [self.epoch(number) for number in range(1, epochs + 1) if self.train(number, epochs)]

    def train(self, number: int, epochs: int) -> bool:
        if number == 1:
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
            self.shuffle = torch.Generator().manual_seed(stream("shuffle"))
            torch.manual_seed(stream("dropout"))
        self.model.train()
        for batch in torch.randperm(18, generator=self.shuffle).split(5):
            self.optimizer.zero_grad()
            nn.functional.mse_loss(self.model(self.x[batch]), self.y[batch]).backward()
            self.optimizer.step()
            if self.kind == "EMA":
                self.averaged.update_parameters(self.model)
        if self.kind == "SWA" and number > epochs / 2:
            self.averaged.update_parameters(self.model)
        return True

    def epoch(self, number: int) -> float:
        """The val loss of the averaged model, or of the model itself before the average began."""
        result: nn.Module = self.averaged.module if self.averaged.n_averaged else self.model
        if self.kind == "SWA" and self.averaged.n_averaged:
            with torch.random.fork_rng():
                torch.manual_seed(stream("dropout"))
                update_bn(self.x.split(5), result)
        result.eval()
        with torch.no_grad():
            return nn.functional.mse_loss(result(self.x_val), self.y_val).item()


@pytest.mark.parametrize(("kind", "how"), [("EMA", EMA), ("SWA", SWA)])
def test_the_average_is_torch_s_own(kind: str, how: str, fit: Any) -> None:
    """Evaluated at each look, and at the end the model: parameters and the statistics of BatchNorm."""
    run, expected = fit(SPEC, how), ByHand(kind)
    assert list(run.told.series["val/loss"].values()) == pytest.approx(expected.val_losses, rel=1e-12)
    wanted = expected.averaged.module.state_dict()
    for name, tensor in run.parts.model.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-12, atol=1e-12)
    without = fit(SPEC)
    assert run.losses == without.losses  # averaging changes no step
    assert not torch.equal(run.parameters[0], without.parameters[0])


def test_swa_measures_the_statistics_of_batch_norm_anew(fit: Any) -> None:
    """After `update_bn` they are those of the train split: its mean before the activation, over equal batches."""
    run = fit(SPEC, SWA, "train.batch_size=all")
    linear, norm = run.parts.model[0], run.parts.model[1]
    with torch.no_grad():
        values = linear(run.parts.rows["train"].x)
    torch.testing.assert_close(norm.running_mean, values.mean(0), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norm.running_var, values.var(0), rtol=1e-12, atol=1e-12)
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("how", [EMA, SWA])
def test_a_run_with_an_average_goes_on_exactly(how: str, fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after any third step and taken up again, before and after the average began."""
    whole = fit(SPEC, how)
    monkeypatch.setattr("annpipe.train.schedule.MOST_STEPS", 1)
    for at in range(2, STEPS, 3):
        fit(SPEC, how, stop_at=at)
        hold_equal(fit(SPEC, how, resume=True), whole)


@pytest.mark.parametrize("how", [EMA, SWA])
def test_the_best_epoch_is_that_of_the_average(how: str, fit: Any) -> None:
    """Early stopping follows the average and ends with the average of its best epoch."""
    run = fit(SPEC, how, "callbacks=[{early_stopping: {patience: 30}}]", "optimizer.SGD.lr=0.5", "train.epochs=14")
    losses = run.told.series["val/loss"]
    best = min(losses.values())
    assert best < losses[14]
    assert evaluate(run.plan, run.parts, run.parts.rows["val"])["loss"] == best


def test_the_saved_model_is_the_average(go: Any) -> None:
    """And so are the final values; the checkpoint keeps both, so that a run may go on."""
    gone = go(SPEC, EMA)
    weights = load_file(gone.folder / "model" / "weights.safetensors")
    kept = load_checkpoint(gone.folder, "last")["gear"]
    expected = ByHand("EMA")
    torch.testing.assert_close(weights["0.weight"], expected.averaged.module[0].weight.detach(), rtol=1e-12, atol=1e-12)
    assert torch.equal(weights["0.weight"], kept["average"]["module.0.weight"])
    assert not torch.equal(weights["0.weight"], kept["model"]["0.weight"])
    assert gone.outcome.values["val/loss"] == pytest.approx(expected.val_losses[-1], rel=1e-12)


def test_an_average_that_never_began_leaves_the_model(fit: Any) -> None:
    """A run of fewer steps than an epoch has no end of an epoch."""
    how = ["train.epochs=null", "train.steps=3"]
    run, without = fit(SPEC, SWA, *how), fit(SPEC, *how)
    assert all(torch.equal(a, b) for a, b in zip(run.parameters, without.parameters, strict=True))
    assert run.told.messages == ["SWA took no parameters in: the model is that of the last step"]


def test_the_plan_says_its_average(planned: Any) -> None:
    """As YAML that resolves to the same plan; it decides numbers, so it is part of the digest."""
    plan = planned(SPEC, SWA)
    assert planned(plan.to_yaml()) == plan
    assert plan.digest != planned(SPEC).digest
