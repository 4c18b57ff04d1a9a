"""What a plan is built into: plain torch modules and optimizers, each with the numbers of its documented stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from annpipe.backend.device import computing
from annpipe.errors import RunError
from annpipe.portable.stack import Stack
from annpipe.portable.taps import TappedStack
from annpipe.train.parts import Parts, build, build_model, build_optimizer, named_parameters, trial_copy
from tests.comparing import hold_state
from tests.plain_torch import SEED, stream
from tests.train.gears.stacks import SPEC
from tests.training import Planned

CPU = torch.device("cpu")


@pytest.fixture
def built(planned: Planned) -> Any:
    def made(*overrides: str) -> tuple[Any, Parts]:
        plan = planned(SPEC, f"seed={SEED}", *overrides)
        with computing("float64", deterministic=False):
            return plan, build(plan, CPU, torch.float64)

    return made


def test_a_model_is_torch_s_own_and_begins_as_it_would(built: Any) -> None:
    """With torch's draws from the stream `init`, whatever was drawn before."""
    torch.manual_seed(99)
    _, parts = built("model=[Linear: 7, Tanh, Linear: 1]")
    torch.manual_seed(stream("init"))
    with computing("float64", deterministic=False):
        plain = nn.Sequential(nn.Linear(2, 7), nn.Tanh(), nn.Linear(7, 1))
    assert type(parts.model) is nn.Sequential
    hold_state(dict(plain.state_dict()), dict(parts.model.state_dict()), 0.0)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("[Linear: 4, Linear: 1]", nn.Sequential),
        ("[residual: {layers: [Linear: 2]}, Linear: 1]", nn.Sequential),
        ("[tap: first, Linear: 4, join: [first], Linear: 1]", TappedStack),
        ("[Unflatten: {dim: 1, unflattened_size: [2, 1]}, LSTM: 3, Flatten, Linear: 1]", Stack),
    ],
)
def test_what_holds_the_layers(model: str, kind: type, planned: Planned) -> None:
    """Torch's Sequential, unless a layer gives a tuple or a value is tapped."""
    plan = planned(SPEC, f"model={model}")
    with computing("float64", deterministic=False):
        assert type(build_model(plan)) is kind


def test_what_is_trained_has_names(built: Any) -> None:
    """Those of the model that are not frozen, and those of the loss, which are trained with them."""
    _, parts = built("model={layers: [Linear: 7, Tanh, Linear: 1], freeze: [0.weight]}")
    loss = nn.Module()
    loss.register_parameter("scale", nn.Parameter(torch.ones(())))
    named = named_parameters(parts.model, loss)
    assert list(named) == ["0.bias", "2.weight", "2.bias", "loss.scale"]
    assert named["2.bias"] is parts.model[2].bias
    assert parts.parameters == [named[name] for name in ("0.bias", "2.weight", "2.bias")]
    assert not parts.model[0].weight.requires_grad


def test_each_group_has_its_parameters_and_options(built: Any) -> None:
    """The others are in the first one, with the optimizer's own."""
    _, parts = built("optimizer={Adam: {lr: 0.01}, groups: [{params: '*.bias', lr: 0.1}]}")
    first, second = parts.optimizer.param_groups
    assert (first["lr"], second["lr"]) == (0.01, 0.1)
    assert [parameter.dim() for parameter in first["params"]] == [2, 2, 2]
    assert [parameter.dim() for parameter in second["params"]] == [1, 1, 1]


@pytest.mark.parametrize(("device", "fused"), [("cpu", True), ("meta", None)])
def test_the_optimizer_is_fused_where_torch_has_a_kernel(device: str, fused: bool | None, planned: Planned) -> None:
    """For the device that the run is on."""
    plan = planned(SPEC, "optimizer={Adam: {lr: 0.01, fused: true}}")
    weight = nn.Parameter(torch.zeros(3))
    optimizer = build_optimizer(plan, {"weight": weight}, torch.device(device))
    assert optimizer.param_groups[0]["fused"] == fused
    assert optimizer.param_groups[0]["params"] == [weight]


def test_a_scheduler_is_as_long_as_the_run(built: Any) -> None:
    """50 epochs; it drives the optimizer of the run."""
    _, parts = built("scheduler=CosineAnnealingLR")
    assert parts.scheduler.T_max == 50
    assert parts.scheduler.optimizer is parts.optimizer
    assert built()[1].scheduler is None


def test_a_scheduler_that_proves_too_short_is_refused(planned: Planned) -> None:
    """Where more rows, and so more steps, came than the plan was made for."""
    own = ["train.epochs=3", "train.batch_size=4", "train.scheduler_each=step"]
    few, many = (
        planned(
            SPEC, *own, f"data.formula.rows={n}", f"scheduler={{OneCycleLR: {{max_lr: 0.1, total_steps: {steps}}}}}"
        )
        for n, steps in ((8, 6), (12, 9))
    )
    with computing("float64", deterministic=False):
        assert build(few, CPU, torch.float64).scheduler.total_steps == 6
        with pytest.raises(RunError, match="is 6, and the scheduler goes over 9 steps"):
            build(replace(many, scheduler=few.scheduler), CPU, torch.float64)


def test_a_trial_has_the_numbers_and_other_memory(built: Any) -> None:
    """Its optimizer steps its own parameters; rows are shared, and there is no scheduler."""
    plan, parts = built("scheduler=CosineAnnealingLR")
    before = {name: tensor.clone() for name, tensor in parts.model.state_dict().items()}
    trial = trial_copy(parts, plan, CPU)
    hold_state(before, dict(trial.model.state_dict()), 0.0)
    rows = trial.rows["train"]
    assert rows is parts.rows["train"]
    assert trial.scheduler is None
    trial.loss(trial.model(rows.x), rows.y).backward()
    trial.optimizer.step()
    assert not torch.equal(trial.model.state_dict()["0.weight"], before["0.weight"])
    hold_state(before, dict(parts.model.state_dict()), 0.0)
    assert all(parameter.grad is None for parameter in parts.parameters)
