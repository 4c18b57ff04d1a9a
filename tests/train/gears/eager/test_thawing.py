"""Parameters that are frozen for some epochs: held against a plain loop that gives them to the optimizer later."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from annpipe.train.gears.compiled.verify import why_not_compiled
from annpipe.train.gears.stacked.eligibility import why_solo
from tests.training import Fit, Planned

EPOCHS, UNTIL = 7, 3
SPEC = f"""
version: 1
name: thaw
seed: 4
device: {{type: cpu, threads: 1, precision: float64, compile: off}}
data:
  formula: {{rows: 24, inputs: {{x: {{Uniform: [-1, 1]}}}}, targets: {{y: sin(5*x)}}}}
model:
  layers: [Linear: 6, Tanh, Linear: 4, Tanh, Linear: 1]
  freeze: [2.bias, {{layers: [0.*], until: {UNTIL}}}]
loss: MSELoss
optimizer: {{SGD: {{lr: 0.1}}}}
train: {{epochs: {EPOCHS}}}
"""
OPTIMIZERS: dict[str, tuple[str, Any]] = {
    "SGD": ("{SGD: {lr: 0.1, momentum: 0.9, weight_decay: 0.1}}", lambda p: torch.optim.SGD(p, 0.1, 0.9, 0, 0.1)),
    "Adam": ("{Adam: {lr: 0.1, weight_decay: 0.1}}", lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1)),
    "AdamW": ("{AdamW: {lr: 0.1}}", lambda p: torch.optim.AdamW(p, 0.1)),
}


def plainly(fit: Fit, make: Any, clip: float | None) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The losses and parameters of a loop in plain torch, from the parameters that the run begins with."""
    begun = fit(SPEC, "train.epochs=1", "optimizer.SGD.lr=0")
    x, y = begun.parts.rows["train"].x, begun.parts.rows["train"].y
    model = torch.nn.Sequential(
        torch.nn.Linear(1, 6), torch.nn.Tanh(), torch.nn.Linear(6, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
    ).double()
    model.load_state_dict(begun.parts.model.state_dict())
    trained = [model[2].weight, model[4].weight, model[4].bias]
    optimizer, losses = make(trained), []
    for epoch in range(EPOCHS):
        if epoch == UNTIL:
            optimizer.add_param_group({"params": [model[0].weight, model[0].bias]})
            trained = [model[0].weight, model[0].bias, *trained]
        model.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(trained, clip)
        optimizer.step()
        losses.append(loss.item())
    return losses, dict(model.named_parameters())


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_gets_them_from_that_epoch_on(name: str, clip: float | None, fit: Fit) -> None:
    """Weight decay, moments and the norm of all gradients begin with them there; what is frozen for good stays."""
    written, make = OPTIMIZERS[name]
    losses, parameters = plainly(fit, make, clip)
    run = fit(SPEC, f"optimizer={written}", *(["train.clip_norm=0.05"] if clip else []))
    assert run.losses == pytest.approx(losses, rel=1e-12)
    for key, parameter in run.parts.model.named_parameters():
        torch.testing.assert_close(parameter, parameters[key], rtol=1e-10, atol=1e-12)


def test_they_stay_as_they_are_until_then(fit: Fit) -> None:
    """To the bit after so many epochs; another one after the next."""
    weights = {epochs: fit(SPEC, f"train.epochs={epochs}").parts.model[0].weight.detach() for epochs in (1, 3, 4)}
    assert torch.equal(weights[1], weights[3])
    assert not torch.equal(weights[3], weights[4])


@pytest.mark.parametrize("stop_at", [4, 9, 11])
def test_a_resume_before_and_after_the_thaw_is_exact(stop_at: int, fit: Fit) -> None:
    """Three steps an epoch, with dropout, an average and a schedule: before the thaw, at it, after it."""
    more = [
        "train.batch_size=10",
        "model.layers.1=Dropout",
        "optimizer={Adam: {lr: 0.1}}",
        "scheduler={StepLR: {step_size: 2}}",
        "average={EMA: {decay: 0.5}}",
        "train.clip_norm=0.1",
    ]
    whole = fit(SPEC, *more)
    fit(SPEC, *more, stop_at=stop_at)
    resumed = fit(SPEC, *more, resume=True)
    assert all(map(torch.equal, resumed.parameters, whole.parameters))


def test_such_runs_go_by_themselves_with_the_eager_gear(fit: Fit, planned: Planned) -> None:
    """Neither stacked nor compiled; the reason is said."""
    run = fit(SPEC)
    assert why_solo(run.plan) == "model.freeze for some epochs"
    assert why_not_compiled(run.plan, run.parts) == "model.freeze for some epochs"
    assert [thaw.to_data() for thaw in planned(SPEC).thaw] == [{"layers": ["0.*"], "until": 3}]


def test_a_thaw_that_never_comes_is_told(planned: Planned) -> None:
    """As many epochs as the run has."""
    (warning,) = planned(SPEC, "train.epochs=3").warnings
    assert warning.message == "0.* is frozen for 3 epochs, and the run has 3"
