"""Steps of many optimizers as one, on matrices: the row of each member is that of torch's own optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.stacked.optimizers import (
    MEMBER_BY_MEMBER,
    STACKED_OPTIMIZERS,
    StackedGroup,
    StackedOptimizer,
    Stepping,
    flags_of,
    hyperparameters,
    stacked_optimizer,
)

SGD, ADAM, NADAM = torch.optim.SGD, torch.optim.Adam, torch.optim.NAdam
RMSPROP, ADAGRAD = torch.optim.RMSprop, torch.optim.Adagrad
CASES: dict[str, tuple[type[torch.optim.Optimizer], list[dict[str, Any]]]] = {
    "SGD": (SGD, [{"lr": 0.1}, {"lr": 0.2, "weight_decay": 0.1}]),
    "SGD, maximize": (SGD, [{"lr": 0.1, "maximize": True, "weight_decay": 0.3}] * 2),
    "momentum": (SGD, [{"lr": 0.1, "momentum": 0.9, "dampening": 0.2}, {"lr": 0.2, "momentum": 0.5}]),
    "nesterov": (SGD, [{"lr": 0.1, "momentum": 0.9, "nesterov": True}] * 2),
    "Adam": (ADAM, [{"lr": 0.1}, {"lr": 0.2, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}, {"lr": 0.1}]),
    "Adam, amsgrad": (ADAM, [{"lr": lr, "amsgrad": True, "maximize": True} for lr in (0.1, 0.2)]),
    "AdamW": (torch.optim.AdamW, [{"lr": 0.1}, {"lr": 0.2, "weight_decay": 0.3}]),
    "NAdam": (NADAM, [{"lr": 0.1}, {"lr": 0.2, "momentum_decay": 0.1, "weight_decay": 0.1}]),
    "NAdam, decoupled": (
        NADAM,
        [{"lr": 0.1, "weight_decay": d, "decoupled_weight_decay": True, "maximize": True} for d in (0.2, 0)],
    ),
    "RMSprop": (RMSPROP, [{"lr": 0.1}, {"lr": 0.2, "alpha": 0.9, "weight_decay": 0.1, "eps": 1e-4}]),
    "RMSprop, centered": (RMSPROP, [{"lr": lr, "centered": True, "momentum": lr * 4} for lr in (0.1, 0.2)]),
    "Adagrad": (ADAGRAD, [{"lr": 0.1}, {"lr": 0.2, "lr_decay": 0.1, "weight_decay": 0.1}]),
}
WIDTH, STEPS = 6, 6


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Torch's optimizers make their states in it, as in a run."""
    with computing("float64", deterministic=False):
        yield


class Members:
    """Torch's own optimizers, one a member, and one group with all their parameters in its rows."""

    def __init__(self, kind: type[torch.optim.Optimizer], options: list[dict[str, Any]]) -> None:
        draw = torch.Generator().manual_seed(3)
        shape = (len(options), WIDTH)
        values = torch.randn(shape, generator=draw, dtype=torch.float64)
        self.gradients = [torch.randn(shape, generator=draw, dtype=torch.float64) for _ in range(STEPS)]
        self.parameters = [torch.nn.Parameter(row.clone()) for row in values]
        self.optimizers = [kind([one], **own) for one, own in zip(self.parameters, options, strict=True)]  # type: ignore[call-arg]  # each kind has its own
        stacked = stacked_optimizer(kind)
        assert stacked is not None
        self.stacked, flags = stacked, flags_of(self.optimizers[0].param_groups[0], stacked)
        states = {name: torch.zeros_like(values) for name in stacked.wide(flags)}
        states |= {name: torch.ones(len(options), 1, dtype=torch.float64) for name in stacked.single}
        self.group = StackedGroup(values, torch.zeros_like(values), states, flags)
        self.read()

    def read(self) -> None:
        groups = [optimizer.param_groups[0] for optimizer in self.optimizers]
        self.group.read(groups, self.stacked.hyperparameters)

    def step(self, number: int, *, is_compiled: bool = False) -> None:
        """The step `number`, from 1, by torch and in the rows."""
        gradient = self.gradients[number - 1]
        for parameter, row, optimizer in zip(self.parameters, gradient, self.optimizers, strict=True):
            parameter.grad = row.clone()
            optimizer.step()
        self.group.gradient.copy_(gradient)
        with torch.no_grad():
            self.stacked.step(self.group, torch.tensor(float(number), dtype=torch.float64) if is_compiled else number)

    def hold(self) -> None:
        """The values and each state."""
        torch.testing.assert_close(self.group.values, torch.stack([*self.parameters]).detach(), rtol=1e-12, atol=1e-14)
        for name, rows in self.group.states.items():
            torchs = [state[name].reshape(-1) for optimizer in self.optimizers for state in optimizer.state.values()]
            torch.testing.assert_close(rows, torch.stack(torchs).to(rows), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("is_compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_rows_are_stepped_as_by_torch(name: str, is_compiled: bool) -> None:
    """Members with options of their own; a compiled step, which has its number as a tensor, is never the first."""
    members = Members(*CASES[name])
    for number in range(1, STEPS + 1):
        members.step(number, is_compiled=is_compiled and number > 1)
    members.hold()


@pytest.mark.parametrize("name", CASES)
def test_a_rate_that_changes_is_read(name: str) -> None:
    """As a scheduler leaves it, for each member."""
    members = Members(*CASES[name])
    members.step(1)
    for factor, optimizer in enumerate(members.optimizers, start=2):
        optimizer.param_groups[0]["lr"] /= factor
    members.read()
    members.step(2)
    members.hold()


def test_every_optimizer_of_the_table_is_held_here() -> None:
    """A new one needs a case."""
    assert {kind for kind, _ in CASES.values()} == set(STACKED_OPTIMIZERS)


def test_members_with_the_same_options_are_taken_together() -> None:
    """Rows that follow on each other as one piece: what a kernel writes there is in the matrix."""
    members = Members(SGD, [{"lr": 0.1}, {"lr": 0.1}, {"lr": 0.2}, {"lr": 0.1}])
    alike = members.group.alike
    assert [(same.hyperparameters["lr"], [len(rows) for rows in same.values]) for same in alike] == [
        (0.1, [2, 1]),
        (0.2, [1]),
    ]
    alike[0].values[1].fill_(7)
    assert members.group.values[3].tolist() == [7.0] * WIDTH


def test_options_that_are_numbers() -> None:
    """Of `betas` there are two; what is no number, as None, is left out."""
    group = {"lr": 1, "betas": (0.9, 0.99), "foreach": None, "maximize": False, "params": []}
    assert dict(hyperparameters(group)) == {"lr": 1.0, "maximize": 0.0, "beta1": 0.9, "beta2": 0.99}


def test_how_an_optimizer_of_a_plugin_steps() -> None:
    """By its own attribute; one that it inherits says nothing of its own step, and the old names serve."""

    def step(group: StackedGroup, number: int) -> None:
        """Never taken."""

    class Own(torch.optim.SGD):
        stacked = Stepping(step, ("lr",), ("momentum",), {"buffer": "momentum", "sum": None})

    class Below(Own):
        pass

    stacked = stacked_optimizer(Own)
    assert isinstance(stacked, StackedOptimizer)
    assert (stacked.step, stacked.hyperparameters) == (step, ("lr",))
    assert stacked.wide({"momentum": False}) == ["sum"]
    assert stacked.wide({"momentum": True}) == ["buffer", "sum"]
    assert flags_of({"momentum": 0.9}, stacked) == {"momentum": True}
    assert (stacked.is_member_by_member, MEMBER_BY_MEMBER.is_member_by_member) == (False, True)
    assert stacked_optimizer(Below) is stacked_optimizer(torch.optim.LBFGS) is None
