"""Groups of parameters: held against plain torch with param groups, and what is told of their rates."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import nn

from annpipe.draft.parameter_groups import ParameterGroup, assigned
from annpipe.plan.params import run_params
from tests.plain_torch import stream

X = [math.sin(1.7 * row) for row in range(24)]
Y = [a * a - 0.5 * a for a in X]
SPEC = f"""
version: 1
name: groups
seed: 5
device: {{type: cpu, threads: 1, precision: float64}}
data: {{table: {{inputs: {{x: {json.dumps(X)}}}, targets: {{y: {json.dumps(Y)}}}}}}}
model: [Linear: 6, Tanh, Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: {{SGD: {{lr: 0.1}}}}
train: {{epochs: 10}}
"""
FIRST, BIASES = ["0.weight", "0.bias"], ["2.bias", "4.bias"]
CASES: dict[str, tuple[str, type[torch.optim.Optimizer], dict[str, Any], list[dict[str, Any]]]] = {
    "SGD": (
        "{SGD: {lr: 0.1, momentum: 0.9, weight_decay: 0.1}, groups: [{params: 0.*, lr: 0.01, nesterov: true}, "
        "{params: '*.bias', weight_decay: 0}]}",
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        [{"lr": 0.01, "nesterov": True}, {"weight_decay": 0}],
    ),
    "AdamW": (
        "{AdamW: {lr: 0.02, weight_decay: 0.1}, groups: [{params: [0.weight, 0.bias], betas: [0.8, 0.9]}, "
        "{params: '?.bias', weight_decay: 0, lr: 0.05}]}",
        torch.optim.AdamW,
        {"lr": 0.02, "weight_decay": 0.1},
        [{"betas": (0.8, 0.9)}, {"weight_decay": 0.0, "lr": 0.05}],
    ),
    "RMSprop": (
        "{RMSprop: {lr: 0.01}, groups: [{params: '0.*', alpha: 0.9}, {params: '*.bias', momentum: 0.5}]}",
        torch.optim.RMSprop,
        {"lr": 0.01},
        [{"alpha": 0.9}, {"momentum": 0.5}],
    ),
}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_groups_are_torch_s_own(name: str, fused: bool, fit: Any) -> None:
    """Ten steps, and the rates halved after the fifth; torch is given the groups by hand."""
    text, make, options, own = CASES[name]
    if fused and name == "RMSprop":
        pytest.skip("torch has no fused kernel for it")
    how = [] if name == "RMSprop" else [f"optimizer.{name}.fused={str(fused).lower()}"]
    run = fit(SPEC.replace("{SGD: {lr: 0.1}}", text), *how, "scheduler={StepLR: {step_size: 5, gamma: 0.5}}")
    torch.manual_seed(stream("init"))
    model = nn.Sequential(
        nn.Linear(1, 6, dtype=torch.float64),
        nn.Tanh(),
        nn.Linear(6, 4, dtype=torch.float64),
        nn.Tanh(),
        nn.Linear(4, 1, dtype=torch.float64),
    )
    named = dict(model.named_parameters())
    rest = [name for name in named if name not in FIRST + BIASES]
    params = [{"params": [named[n] for n in rest]}]
    params += [{"params": [named[n] for n in names]} | one for names, one in zip((FIRST, BIASES), own, strict=True)]
    optimizer = make(params, **options)
    x, y = (torch.tensor(column, dtype=torch.float64)[:, None] for column in (X, Y))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    assert run.losses == pytest.approx(losses, rel=1e-12)
    for found, expected in zip(run.parameters, model.parameters(), strict=True):
        torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=1e-12)


def test_each_group_with_a_rate_of_its_own_has_a_series(fit: Any) -> None:
    """`lr` is the optimizer's, `lr/2` that of the second group; the first one has no rate of its own."""
    run = fit(
        SPEC,
        "optimizer.groups=[{params: 0.*, momentum: 0.5}, {params: 2.*, lr: 0.04}]",
        "scheduler={StepLR: {step_size: 4, gamma: 0.5}}",
    )
    rates = {key: points for key, points in run.told.series.items() if key.startswith("lr")}
    assert rates == {"lr": {1: 0.1, 5: 0.05, 9: 0.025}, "lr/2": {1: 0.04, 5: 0.02, 9: 0.01}}


def test_a_run_with_groups_goes_on_exactly(fit: Any) -> None:
    """Stopped in the middle and resumed, with a rate of its own for each group."""
    how = ["optimizer={AdamW: {lr: 0.02}, groups: [{params: 0.*, lr: 0.04}]}", "scheduler={ExponentialLR: 0.9}"]
    how += ["train.batch_size=5"]
    whole = fit(SPEC, *how)
    fit(SPEC, *how, stop_at=22)
    resumed = fit(SPEC, *how, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters, whole.parameters, strict=True))
    assert resumed.told.series["lr/1"].items() <= whole.told.series["lr/1"].items()


def test_the_plan_says_its_groups(planned: Any) -> None:
    """As YAML that resolves to the same plan; another order of groups is another plan."""
    groups = ["{params: 0.*, lr: 0.04}", "{params: ['*.bias', 2.*], momentum: 0.1}"]
    plan = planned(SPEC, f"optimizer.groups=[{', '.join(groups)}]")
    assert planned(plan.to_yaml()) == plan
    assert planned(plan.to_yaml()).digest == plan.digest
    assert planned(SPEC, f"optimizer.groups=[{', '.join(reversed(groups))}]").digest != plan.digest
    assert run_params(plan)["optimizer.groups.0.SGD.lr"] == "0.04"
    assert planned(SPEC, f"optimizer.groups=[{', '.join(groups)}]", "optimizer.groups.0.lr=0.5") != plan


def test_the_first_group_that_fits_has_the_parameter(planned: Any) -> None:
    """Names in their order, each once."""
    plan = planned(SPEC, "optimizer.groups=[{params: 0.*, lr: 0.04}, {params: '*.bias', momentum: 0.1}]")
    names = [f"{layer}.{name}" for layer in (0, 2, 4) for name in ("weight", "bias")]
    groups: tuple[ParameterGroup, ...] = plan.groups
    assert assigned(names, groups) == [["2.weight", "4.weight"], FIRST, BIASES]


def test_the_plan_tells_where_each_option_of_a_group_comes_from(planned: Any, annpipe_here: Any, tmp_path: Any) -> None:
    """By its path, with its line or override."""
    (tmp_path / "spec.yaml").write_text(
        SPEC.replace("{SGD: {lr: 0.1}}", "{SGD: {lr: 0.1}, groups: [{params: '*.bias', lr: 0.2}]}"), encoding="utf-8"
    )
    code, out, _ = annpipe_here("plan", "spec.yaml", "--origin", "--json", "--set", "optimizer.groups.0.lr=0.3")
    found = {row["path"]: (row["value"], row["source"]) for row in json.loads(out)}
    assert code == 0
    assert found["optimizer.groups.0.params"] == (["*.bias"], "spec")
    assert found["optimizer.groups.0.lr"] == (0.3, "override")
    _, out, _ = annpipe_here("plan", "spec.yaml")
    assert "*.bias  {lr: 0.2}" in out
