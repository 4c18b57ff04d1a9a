"""The learning rate test: its rates, what ends it, what it suggests, and that no run knows of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annpipe.errors import RunError
from annpipe.train.loop.lr_test import smoothed, steepest, try_rates
from tests.conftest import CliHere

SPEC = """
version: 1
name: rates
device: {type: cpu, threads: 1}
data:
  formula: {rows: 64, inputs: {a: {Normal: [0, 1]}, b: {Normal: [0, 1]}}, targets: {y: 3*a - 2*b + 1}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
scheduler: {StepLR: 1}
train: {epochs: 5}
"""


def test_the_losses_are_those_of_plain_torch(planned: Any) -> None:
    """Step by step with the same growing rate, from the same start."""
    plan = planned(SPEC)
    test = try_rates(plan, low=1e-5, high=1.0, steps=60)
    np.testing.assert_allclose(test.rates, np.geomspace(1e-5, 1.0, 60)[: len(test.rates)])
    from annpipe.train.parts import build

    parts = build(plan, torch.device("cpu"), torch.float32)
    model, rows = parts.model, parts.rows["train"]
    for rate, loss in zip(test.rates, test.losses, strict=True):
        value = torch.nn.functional.mse_loss(model(rows.x), rows.y)
        assert loss == pytest.approx(float(value.detach()), rel=1e-4)
        model.zero_grad()
        value.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= rate * parameter.grad


def test_a_quadratic_bowl_blows_up_where_theory_says(planned: Any) -> None:
    """Gradient descent on it diverges above 2 / (largest curvature): the test ends there, and suggests less."""
    plan = planned(SPEC)
    test = try_rates(plan, low=1e-4, high=100.0, steps=200)
    from annpipe.train.parts import build

    x = build(plan, torch.device("cpu"), torch.float32).rows["train"].x.double()
    design = torch.cat([x, torch.ones(len(x), 1)], 1)
    curvature = float(torch.linalg.eigvalsh(2 * design.T @ design / len(x)).max())
    assert test.rates[-1] < 100.0
    assert 2 / curvature < test.rates[-1] < 20 / curvature
    assert 0.01 / curvature < test.suggested < 2 / curvature


def test_smoothing_is_the_mean_around_each_step() -> None:
    """Of fewer at the ends."""
    losses = list(np.random.default_rng(0).normal(size=30))
    wanted = [np.mean(losses[max(0, n - 2) : n + 3]) for n in range(30)]
    assert smoothed(losses, 5) == pytest.approx(wanted)


@pytest.mark.parametrize("at", [1e-4, 1e-2, 0.3])
def test_the_suggestion_is_the_steepest_place_of_a_known_curve(at: float) -> None:
    """A logistic fall over log10 of the rate, then a rise."""
    rates = list(np.geomspace(1e-7, 10, 200))
    course = [1 / (1 + math.exp(4 * (math.log10(rate) - math.log10(at)))) + max(0, rate - 5) for rate in rates]
    assert steepest(rates, course, 11) == pytest.approx(at, rel=0.1)


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    """Rather than a rate at random."""
    with pytest.raises(RunError, match="begin with a lower one"):
        steepest(list(np.geomspace(1e-3, 1, 50)), list(range(50)), 5)


@pytest.mark.slow
def test_the_command_suggests_draws_and_leaves_no_run(annpipe_here: CliHere, tmp_path: Path) -> None:
    """What it says can be typed; nothing is recorded."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, out, err = annpipe_here("lr", "spec.yaml")
    assert code == 0, err
    assert "annpipe run spec.yaml --set optimizer.SGD.lr=" in out
    assert "the spec has 0.01" in out
    assert (tmp_path / "rates_lr.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "mlflow.db").exists()
    code, out, err = annpipe_here("lr", "spec.yaml", "--json", "--figure", "out/rates.png", "--steps", "50")
    told = json.loads(out)
    assert len(told["rates"]) == len(told["losses"]) == len(told["smoothed"]) <= 50
    assert told["suggested"] in told["rates"]
    assert (tmp_path / "out/rates.png").stat().st_size
    assert annpipe_here("lr", "spec.yaml", "--json")[1] == annpipe_here("lr", "spec.yaml", "--json")[1]


def test_the_command_refuses_what_has_no_rate(annpipe_here: CliHere, tmp_path: Path) -> None:
    """LBFGS searches for its steps; bounds must be in their order; a wrong spec has its report."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, _, err = annpipe_here("lr", "spec.yaml", "--unset", "scheduler", "--set", "optimizer=LBFGS")
    assert (code, "LBFGS has no learning rate to look for" in err) == (1, True)
    code, _, err = annpipe_here("lr", "spec.yaml", "--from", "1", "--to", "0.1")
    assert (code, "--from (1) must be less than --to (0.1)" in err) == (2, True)
    assert annpipe_here("lr", "spec.yaml", "--set", "loss=L2")[0] == 3
