"""One matrix for each parameter group of a stack: the tensors of the members are views of it, and made free again."""

from __future__ import annotations

import copy

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.stacked.matrices import StackedMatrices
from tests.comparing import hold_state
from tests.train.gears.stacks import SPEC, Built, built
from tests.training import Planned

GROUPS = "optimizer={Adam: {lr: 0.01}, groups: [{params: '*.bias', lr: 0.1}]}"


def members(planned: Planned, *overrides: str, steps: int = 2) -> list[Built]:
    """Two runs that have taken some steps of their own."""
    with computing("float64", deterministic=False):
        runs = [built(planned(SPEC, *overrides, f"seed={seed}")) for seed in (1, 2)]
        for run in runs:
            rows = run.parts.rows["train"]
            for _ in range(steps):
                run.parts.optimizer.zero_grad()
                run.parts.loss(run.parts.model(rows.x), rows.y).backward()
                run.parts.optimizer.step()
        return runs


def stacked(runs: list[Built], step: int = 2) -> StackedMatrices:
    with computing("float64", deterministic=False):
        return StackedMatrices([run.parts for run in runs], step)


@pytest.mark.parametrize(
    "optimizer", [GROUPS, "optimizer={NAdam: {lr: 0.01}}", "optimizer={SGD: {lr: 0.1, momentum: 0.9}}"]
)
def test_members_keep_what_they_had(optimizer: str, planned: Planned) -> None:
    """Their values, and their optimizer's state by its own names, step count included."""
    runs = members(planned, optimizer)
    before = copy.deepcopy([(run.parts.model.state_dict(), run.parts.optimizer.state_dict()) for run in runs])
    matrices = stacked(runs)
    matrices.count(2)
    for run, (model, state) in zip(runs, before, strict=True):
        hold_state(model, dict(run.parts.model.state_dict()), 0.0)
        hold_state(state["state"], {
            number: {name: value.to(state["state"][number][name]) for name, value in own.items()}
            for number, own in run.parts.optimizer.state_dict()["state"].items()
        }, 0.0)  # fmt: skip


def test_matrices_and_members_are_the_same_memory(planned: Planned) -> None:
    """Values, gradients and states of each member, in its row and group."""
    runs = members(planned, GROUPS)
    matrices = stacked(runs)
    matrices.bind()
    assert len(matrices.groups) == 2
    for number, (group, rest) in enumerate(zip(matrices.groups, reversed(matrices.groups), strict=True)):
        group.values[1] = 5.0
        group.gradient[1] = 6.0
        group.states["exp_avg"][1] = 7.0
        for parameter in runs[1].parts.optimizer.param_groups[number]["params"]:
            assert (parameter == 5).all()
            assert (parameter.grad == 6).all()
            assert (runs[1].parts.optimizer.state[parameter]["exp_avg"] == 7).all()
        group.values[1] = 0.0
        assert not (rest.values[1] == 5).any()
    assert not any((parameter == 5).any() for parameter in runs[0].parts.parameters)
    runs[0].parts.parameters[0].data.fill_(9)
    assert (matrices.groups[0].values[0] == 9).sum() == runs[0].parts.parameters[0].numel()


def test_steps_are_counted_for_each_member(planned: Planned) -> None:
    """The first count binds what the optimizers hold."""
    runs = members(planned, GROUPS, steps=0)
    matrices = stacked(runs, 0)
    assert not runs[0].parts.optimizer.state
    matrices.count(4)
    steps = [state["step"].item() for run in runs for state in run.parts.optimizer.state.values()]
    assert steps == [4.0] * 2 * len(runs[0].parts.parameters)


@pytest.mark.parametrize(("fused", "dtype"), [("true", torch.float32), ("false", torch.float64)])
def test_fused_kernels_count_in_single_precision(fused: str, dtype: torch.dtype, planned: Planned) -> None:
    """As torch makes it."""
    runs = members(planned, f"optimizer={{Adam: {{lr: 0.01, fused: {fused}}}}}")
    matrices = stacked(runs)
    matrices.bind()
    assert {state["step"].dtype for state in runs[0].parts.optimizer.state.values()} == {dtype}


def test_a_member_that_is_released_is_apart(planned: Planned) -> None:
    """With the numbers of then; the others stay views, even when states are bound again."""
    runs = members(planned, GROUPS)
    matrices = stacked(runs)
    matrices.bind()
    before = copy.deepcopy([runs[0].parts.model.state_dict(), runs[0].parts.optimizer.state_dict()])
    matrices.release(runs[0].parts)
    matrices.released.add(0)
    matrices.bind()
    for group in matrices.groups:
        for tensor in (group.values, group.gradient, *group.states.values()):
            tensor.fill_(3)
    matrices.count(9)
    hold_state(before, [runs[0].parts.model.state_dict(), runs[0].parts.optimizer.state_dict()], 0.0)
    assert all((parameter == 3).all() for parameter in runs[1].parts.parameters)


def test_options_are_those_of_each_member_s_group(planned: Planned) -> None:
    """As schedulers left them."""
    runs = members(planned, GROUPS)
    runs[1].parts.optimizer.param_groups[1]["lr"] = 0.5
    matrices = stacked(runs)
    matrices.read_options()
    assert [group.exact["lr"].flatten().tolist() for group in matrices.groups] == [[0.01, 0.01], [0.1, 0.5]]


def test_other_memory_is_taken_back(planned: Planned) -> None:
    """What an optimizer put in a parameter's place goes into the matrix, and the parameter is a view again."""
    runs = members(planned, GROUPS)
    matrices = stacked(runs)
    parameter = runs[1].parts.parameters[0]
    parameter.data = torch.full_like(parameter, 4)
    matrices.take_back(1)
    part = next(iter(matrices.slices.values()))
    assert (part.of(matrices.groups[part.group].values)[1] == 4).all()
    matrices.groups[part.group].values[1] = 2.0
    assert (parameter == 2).all()
