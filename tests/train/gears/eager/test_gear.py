"""Steps taken by annpipe are the steps of a plain torch loop, number for number.

The loop here is written by hand. What it shares with annpipe is only what is documented: how the seeds of the streams
follow from the run's seed.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as lrs

from annpipe.registry.registry import Registry
from tests.plain_torch import SEED, stream

ROWS = 37
X = [[math.sin(1.7 * row), math.cos(0.9 * row)] for row in range(ROWS)]
Y = [a * a - 0.5 * b + 0.1 * a * b for a, b in X]
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}

SPEC = f"""
version: 1
name: numbers
seed: {SEED}
device: {{type: cpu, threads: 1, precision: PRECISION, autocast: AUTOCAST}}
data:
  table:
    inputs: {{a: {json.dumps([a for a, _ in X])}, b: {json.dumps([b for _, b in X])}}}
    targets: {{y: {json.dumps(Y)}}}
  split: {{val: VAL}}
model: [Linear: 8, Tanh, Dropout: DROPOUT, Linear: 1]
loss: MSELoss
optimizer: OPTIMIZER
scheduler: SCHEDULER
train:
  epochs: 12
  batch_size: BATCH
  drop_last: DROP_LAST
  accumulate: ACCUMULATE
  clip_norm: CLIP_NORM
  clip_value: CLIP_VALUE
  scheduler_each: EACH
"""


@dataclass
class Case:
    """One job, said twice: as options of the spec and as torch objects."""

    optimizer: str
    make_optimizer: Callable[[Any], Any]
    precision: str = "float64"
    batch: int | str = 8
    drop_last: bool = False
    scheduler: str = "null"
    make_scheduler: Callable[[Any], Any] | None = None
    val: float = 0.0
    dropout: float = 0.0
    accumulate: int = 1
    clip_norm: float | None = None
    clip_value: float | None = None
    each: str = "epoch"
    autocast: str = "off"

    @property
    def spec(self) -> str:
        words = {
            "PRECISION": self.precision,
            "OPTIMIZER": self.optimizer,
            "SCHEDULER": self.scheduler,
            "BATCH": self.batch,
            "DROP_LAST": str(self.drop_last).lower(),
            "DROPOUT": self.dropout,
            "VAL": self.val,
            "ACCUMULATE": self.accumulate,
            "CLIP_NORM": "null" if self.clip_norm is None else self.clip_norm,
            "CLIP_VALUE": "null" if self.clip_value is None else self.clip_value,
            "EACH": self.each,
            "AUTOCAST": self.autocast,
        }
        text = SPEC
        for word, value in words.items():
            text = re.sub(rf" {word}\b", lambda _, value=value: f" {value}", text)
        return text


def by_hand(case: Case) -> tuple[list[float], list[float], list[torch.Tensor]]:
    """Train losses, rates of each epoch and final parameters of the plain loop."""
    dtype = getattr(torch, case.precision)
    x, y = torch.tensor(X, dtype=torch.float64).to(dtype), torch.tensor(Y, dtype=torch.float64).to(dtype)[:, None]
    n_val = round(ROWS * case.val)
    held_out = torch.zeros(ROWS, dtype=torch.bool)
    held_out[torch.randperm(ROWS, generator=torch.Generator().manual_seed(stream("split")))[:n_val]] = True
    x_val, y_val, x, y = x[held_out], y[held_out], x[~held_out], y[~held_out]
    torch.manual_seed(stream("init"))
    model = nn.Sequential(
        nn.Linear(2, 8, dtype=dtype), nn.Tanh(), nn.Dropout(case.dropout), nn.Linear(8, 1, dtype=dtype)
    )
    optimizer = case.make_optimizer(model.parameters())
    scheduler = case.make_scheduler(optimizer) if case.make_scheduler else None
    shuffle = torch.Generator().manual_seed(stream("shuffle"))
    torch.manual_seed(stream("dropout"))
    losses, rates = [], []
    scaler = torch.amp.GradScaler("cpu") if case.autocast == "float16" else None
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        losses.append(_epoch(case, model, optimizer, x, y, shuffle, scheduler if case.each == "step" else None, scaler))
        if isinstance(scheduler, lrs.ReduceLROnPlateau):
            with torch.no_grad():
                model.eval()
                scheduler.step(nn.functional.mse_loss(model(x_val), y_val).item() if n_val else losses[-1])
                model.train()
        elif scheduler is not None and case.each == "epoch":
            scheduler.step()
    return losses, rates, [parameter.detach() for parameter in model.parameters()]


def _epoch(case: Case, model: Any, optimizer: Any, x: Any, y: Any, shuffle: Any, scheduler: Any, scaler: Any) -> float:
    total, rows = 0.0, 0
    if case.batch == "all":
        batches = [torch.arange(len(x))]
    else:
        assert isinstance(case.batch, int)
        rows_a_step = case.batch * case.accumulate
        batches = list(torch.randperm(len(x), generator=shuffle).split(rows_a_step))
        if case.drop_last and len(batches[-1]) < rows_a_step:
            batches.pop()
    for batch in batches:
        first: list[float] = []

        def closure(batch: torch.Tensor = batch, first: list[float] = first) -> torch.Tensor:
            optimizer.zero_grad()
            loss = torch.zeros((), dtype=x.dtype)
            for part in batch.split(case.batch if isinstance(case.batch, int) else len(batch)):
                mixed = (
                    torch.autocast("cpu", getattr(torch, case.autocast)) if case.autocast != "off" else nullcontext()
                )
                with mixed:
                    value = nn.functional.mse_loss(model(x[part]), y[part])
                share = value * (len(part) / len(batch))
                (scaler.scale(share) if scaler else share).backward()
                loss += share.detach()
            if scaler:
                scaler.unscale_(optimizer)
            if case.clip_value is not None:
                nn.utils.clip_grad_value_(model.parameters(), case.clip_value)
            if case.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), case.clip_norm)
            first.append(loss.item())
            return loss

        if scaler:
            closure()
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step(closure)
        if scheduler is not None:
            scheduler.step()
        total, rows = total + first[0] * len(batch), rows + len(batch)
    return total / rows


def sgd(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)


SGD = "{SGD: {lr: 0.1, momentum: 0.9, nesterov: true}}"
OPTIMIZERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "SGD": (SGD, sgd),
    "SGD, momentum": ("{SGD: {lr: 0.1, momentum: 0.9}}", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "Adam": ("{Adam: {lr: 0.02}}", lambda p: torch.optim.Adam(p, lr=0.02, foreach=False)),
    "AdamW": (
        "{AdamW: {lr: 0.02, weight_decay: 0.1, betas: [0.8, 0.99]}}",
        lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1, betas=(0.8, 0.99), foreach=False),
    ),
    "RMSprop": (
        "{RMSprop: {lr: 0.01, centered: true}}",
        lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, foreach=False),
    ),
    "LBFGS": ("{LBFGS: {lr: 0.5, max_iter: 4}}", lambda p: torch.optim.LBFGS(p, lr=0.5, max_iter=4)),
}
SCHEDULERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "StepLR": ("{StepLR: {step_size: 4, gamma: 0.5}}", lambda o: lrs.StepLR(o, step_size=4, gamma=0.5)),
    "MultiStepLR": ("{MultiStepLR: [[2, 5, 9], 0.5]}", lambda o: lrs.MultiStepLR(o, [2, 5, 9], 0.5)),
    "ExponentialLR": ("{ExponentialLR: 0.9}", lambda o: lrs.ExponentialLR(o, 0.9)),
    "CosineAnnealingLR": ("{CosineAnnealingLR: {T_max: 12}}", lambda o: lrs.CosineAnnealingLR(o, T_max=12)),
    "CosineAnnealingWarmRestarts": (
        "{CosineAnnealingWarmRestarts: {T_0: 3, T_mult: 2, eta_min: 0.001}}",
        lambda o: lrs.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.001),
    ),
    "OneCycleLR": (
        "{OneCycleLR: {max_lr: 0.2, total_steps: 60}}",
        lambda o: lrs.OneCycleLR(o, max_lr=0.2, total_steps=60),
    ),
    "CyclicLR": (
        "{CyclicLR: {base_lr: 0.01, max_lr: 0.1, step_size_up: 3, mode: exp_range, gamma: 0.95}}",
        lambda o: lrs.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3, mode="exp_range", gamma=0.95),
    ),
    "LinearLR": (
        "{LinearLR: {start_factor: 0.1, total_iters: 7}}",
        lambda o: lrs.LinearLR(o, start_factor=0.1, total_iters=7),
    ),
    "ConstantLR": (
        "{ConstantLR: {factor: 0.25, total_iters: 4}}",
        lambda o: lrs.ConstantLR(o, factor=0.25, total_iters=4),
    ),
    "PolynomialLR": (
        "{PolynomialLR: {total_iters: 9, power: 2}}",
        lambda o: lrs.PolynomialLR(o, total_iters=9, power=2.0),
    ),
    "LambdaLR": ("{LambdaLR: 0.9 ** epoch}", lambda o: lrs.LambdaLR(o, lambda epoch: 0.9**epoch)),
    "MultiplicativeLR": (
        "{MultiplicativeLR: 1 / (1 + epoch)}",
        lambda o: lrs.MultiplicativeLR(o, lambda epoch: 1 / (1 + epoch)),
    ),
    "SequentialLR": (  # a warm-up, and then a cosine
        "{SequentialLR: [[LinearLR: [0.1, 1.0, 3], CosineAnnealingLR: 9], [3]]}",
        lambda o: lrs.SequentialLR(o, [lrs.LinearLR(o, 0.1, 1.0, 3), lrs.CosineAnnealingLR(o, 9)], [3]),
    ),
    "ChainedScheduler": (
        "{ChainedScheduler: [[{ConstantLR: [0.1, 2]}, {ExponentialLR: 0.9}]]}",
        lambda o: lrs.ChainedScheduler([lrs.ConstantLR(o, 0.1, 2), lrs.ExponentialLR(o, 0.9)], o),
    ),
    "ReduceLROnPlateau": (
        "{ReduceLROnPlateau: {patience: 0, factor: 0.3, threshold: 0.2}}",
        lambda o: lrs.ReduceLROnPlateau(o, patience=0, factor=0.3, threshold=0.2),
    ),
}
BY_THEMSELVES = [name for name in SCHEDULERS if name != "ReduceLROnPlateau"]


def hold_against_plain_torch(case: Case, fit: Any) -> list[float]:
    """Compares losses, rates and parameters; gives the rates."""
    run = fit(case.spec)
    losses, rates, parameters = by_hand(case)
    tolerance = TOLERANCE[case.precision]
    assert run.losses == pytest.approx(losses, rel=tolerance, abs=tolerance)
    assert run.parts.model[0].weight.dtype == getattr(torch, case.precision)
    for found, expected in zip(run.parameters, parameters, strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    if case.make_scheduler:  # a rate is told when it changes
        told = run.told.series["lr"]
        assert [told[max(epoch for epoch in told if epoch <= at)] for at in range(1, 13)] == pytest.approx(rates)
    return rates


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("batch", ["all", 8])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_losses_and_parameters_are_those_of_a_plain_loop(
    optimizer: str, batch: int | str, precision: str, fit: Any
) -> None:
    """Full batch, and mini-batches of 8 with a last one of 5; torch's fused kernels round as its loops do."""
    hold_against_plain_torch(Case(*OPTIMIZERS[optimizer], precision=precision, batch=batch), fit)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_drop_last_leaves_out_the_smaller_batch(optimizer: str, fit: Any) -> None:
    """37 rows in batches of 8: four steps an epoch, five rows rest."""
    hold_against_plain_torch(Case(*OPTIMIZERS[optimizer], drop_last=True), fit)


@pytest.mark.parametrize("val", [0.0, 0.3])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_scheduler_steps_once_an_epoch(scheduler: str, val: float, fit: Any) -> None:
    """On the loss of the val split, or of the train split without one, where it follows a metric."""
    text, make = SCHEDULERS[scheduler]
    rates = hold_against_plain_torch(Case(SGD, sgd, scheduler=text, make_scheduler=make, val=val), fit)
    assert len(set(rates)) >= 2


def test_dropout_draws_from_its_own_stream(fit: Any) -> None:
    """The masks are those of torch's generator seeded with the stream's seed, evaluations in between or not."""
    adam = OPTIMIZERS["Adam"]
    hold_against_plain_torch(Case(*adam, dropout=0.4), fit)
    hold_against_plain_torch(Case(*adam, dropout=0.4, val=0.3), fit)


def test_the_loss_of_an_epoch_is_the_mean_over_rows(fit: Any) -> None:
    """With a learning rate of 0 nothing moves, so each epoch's loss is the loss of the whole split at once."""
    run = fit(Case("{SGD: {lr: 0.0}}", sgd).spec)
    x, y = torch.tensor(X, dtype=torch.float64), torch.tensor(Y, dtype=torch.float64)[:, None]
    with torch.no_grad():
        whole = nn.functional.mse_loss(run.parts.model(x), y).item()
    assert run.losses == pytest.approx([whole] * 12, rel=1e-12)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize(
    "how",
    [
        {"accumulate": 2},
        {"accumulate": 3, "drop_last": True},
        {"accumulate": 20},
        {"clip_norm": 0.05},
        {"clip_value": 0.01},
        {"clip_value": 0.02, "clip_norm": 0.03, "batch": "all"},
        {"accumulate": 2, "clip_norm": 0.05, "dropout": 0.3},
    ],
)
def test_gradients_are_gathered_and_clipped_as_by_hand(how: dict[str, Any], precision: str, fit: Any) -> None:
    """Batches of a step weigh as many as their rows; numbers are cut first, then the length of all."""
    hold_against_plain_torch(Case(SGD, sgd, precision=precision, **how), fit)


def test_lbfgs_clips_at_each_evaluation(fit: Any) -> None:
    """Its closure is called several times a step."""
    optimizer, make = OPTIMIZERS["LBFGS"]
    hold_against_plain_torch(Case(optimizer, make, batch="all", clip_norm=0.5), fit)


def test_batches_of_a_step_add_up_to_one_large_batch(fit: Any) -> None:
    """Without dropout the run is that of the large batch."""
    small, large = Case(SGD, sgd, batch=4, accumulate=4), Case(SGD, sgd, batch=16)
    losses = [list(fit(case.spec).told.series["train/loss"].values()) for case in (small, large)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)


@pytest.mark.parametrize("scheduler", BY_THEMSELVES)
def test_a_scheduler_may_step_with_the_optimizer(scheduler: str, fit: Any) -> None:
    """The rate told for an epoch is the one it begins with."""
    text, make = SCHEDULERS[scheduler]
    hold_against_plain_torch(Case(SGD, sgd, scheduler=text, make_scheduler=make, each="step"), fit)


def test_every_scheduler_of_the_registry_is_held_here(registry_entries: Registry) -> None:
    """A new one of torch's has to be added."""
    assert {entry.name for entry in registry_entries.entries("scheduler")} == set(SCHEDULERS)


def test_a_scheduler_may_follow_any_metric(fit: Any) -> None:
    """Stepped by hand with the metric that it names, it gives the same rates; with the loss it would give others."""
    plateau = "{ReduceLROnPlateau: {mode: max, patience: 0, factor: 0.3, threshold: 0.1, monitor: val/r2_score}}"
    case = Case(SGD, sgd, scheduler=plateau, val=0.3)
    run = fit(case.spec, "metrics=[R2Score]")
    parameter = torch.nn.Parameter(torch.zeros(1))
    by_hand = lrs.ReduceLROnPlateau(sgd([parameter]), mode="max", patience=0, factor=0.3, threshold=0.1)
    expected = {1: 0.1}
    for epoch, score in run.told.series["val/r2_score"].items():
        by_hand.step(score)
        rate = by_hand.optimizer.param_groups[0]["lr"]
        if rate != list(expected.values())[-1]:
            expected[epoch + 1] = rate
    assert len(expected) > 2
    assert run.told.series["lr"] == expected
    on_loss = fit(replace(case, scheduler=plateau.replace("monitor: val/r2_score", "monitor: train/loss")).spec)
    assert on_loss.told.series["lr"] != expected


def test_the_plateau_s_options_are_torch_s_and_one_more(registry_entries: Registry) -> None:
    """Names, order and defaults."""
    entry = registry_entries.find("scheduler", "ReduceLROnPlateau")
    assert entry
    torchs = {name: p.default for name, p in inspect.signature(lrs.ReduceLROnPlateau).parameters.items()}
    torchs.pop("optimizer")
    assert {option.name: option.default for option in entry.options} == torchs | {"monitor": None}


@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
@pytest.mark.parametrize("how", [{}, {"accumulate": 2, "clip_norm": 0.5}])
def test_mixed_precision_is_torch_s_own(autocast: str, how: dict[str, Any], fit: Any) -> None:
    """Autocast round forward pass and loss; in half precision the gradients are scaled, and the scale is kept."""
    hold_against_plain_torch(Case(SGD, sgd, precision="float32", autocast=autocast, **how), fit)


def test_mixed_precision_differs_from_full(fit: Any) -> None:
    """It is really shorter, and yet near."""
    full, mixed = (fit(Case(SGD, sgd, precision="float32", autocast=a).spec).losses for a in ("off", "bfloat16"))
    assert full != mixed
    assert mixed == pytest.approx(full, rel=0.05)
