"""Steps of a stack as one function of tensors: torch's own steps, compiled once for each run."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.compiled.steps import (
    UNBOUNDED,
    CompiledSteps,
    StepInputs,
    StepState,
    compiling,
    state_of,
    steps_of,
)
from annpipe.train.gears.compiled.verify import option_table
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.parts import build
from tests.train.gears.stacks import SPEC, built
from tests.training import Planned


def test_steps_of_one_shape_are_told_apart(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch has compiled for two runs in one process, called by turns, is kept apart."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda steps, **_: compile_(steps, fullgraph=True, backend="eager"))
    runs = []
    for loss in ("loss=L1Loss", "loss=MSELoss"):
        plan = planned(SPEC, loss, "model=[Linear: 1]", "train.batch_size=all", "optimizer={SGD: {lr: 0.01}}")
        parts = build(plan, torch.device("cpu"), torch.float32)
        state = StackedState([plan], [parts], [torch.Generator()], 0)
        x, y = (one.unsqueeze(0) for one in (parts.rows["train"].x, parts.rows["train"].y))
        table = [torch.stack([own] * 2) for own in option_table([parts.optimizer], state.optimizer.hyperparameters)]
        reached = state_of(state)
        eager = reached.copied()
        told = CompiledSteps(state, 2, x, threads=1), steps_of(state, 2, x)
        runs.append((told, reached, eager, ([x], [y], table)))
    for turn in range(3):
        for (compiled, plain), reached, eager, given in runs:
            with torch.no_grad():
                count = torch.tensor(float(2 * turn + 1))
                losses = plain(eager.values, eager.gradients, eager.states, *given, count)
            torch.testing.assert_close(compiled(reached, StepInputs(*given, 2 * turn + 1)), losses, rtol=1e-5, atol=0)


@pytest.mark.parametrize("optimizer", ["{Adam: {lr: 0.01}}", "{SGD: {lr: 0.05, momentum: 0.9}}"])
def test_two_steps_of_a_call_are_torch_s_own(optimizer: str, planned: Planned) -> None:
    """On batches of their own; the gradients that stay are those of the last step."""
    with computing("float64", deterministic=False):
        run = built(planned(SPEC, f"optimizer={optimizer}"))
        alone = built(run.plan)
        rows = alone.parts.rows["train"]
        batches = [(rows.x[:8], rows.y[:8]), (rows.x[8:16], rows.y[8:16]), (rows.x[16:24], rows.y[16:24])]
        losses = list[torch.Tensor]()
        for x, y in batches:
            alone.parts.optimizer.zero_grad()
            losses.append(alone.parts.loss(alone.parts.model(x), y))
            losses[-1].backward()
            alone.parts.optimizer.step()
            if len(losses) == 1:  # the first step makes the optimizer's state, and is never compiled
                run.parts.model.load_state_dict(alone.parts.model.state_dict())
                run.parts.optimizer.load_state_dict(copy.deepcopy(alone.parts.optimizer.state_dict()))
        stack = StackedState([run.plan], [run.parts], [torch.Generator()], 1)
        now = state_of(stack)
        table = [
            torch.stack([group] * 2) for group in option_table([run.parts.optimizer], stack.optimizer.hyperparameters)
        ]
        xs, ys = ([pair[i].unsqueeze(0) for pair in batches[1:]] for i in (0, 1))
        with torch.no_grad():
            count = torch.tensor(2.0, dtype=torch.float64)
            taken = steps_of(stack, 2, xs[0])(now.values, now.gradients, now.states, xs, ys, table, count)
    torch.testing.assert_close(taken[:, 0], torch.stack(losses[1:]).detach(), rtol=1e-12, atol=0)
    for own, other in zip(run.parts.parameters, alone.parts.parameters, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-15)
    gradient = torch.cat([other.grad.flatten() for other in alone.parts.parameters if other.grad is not None])
    torch.testing.assert_close(now.gradients[0][0], gradient, rtol=1e-12, atol=1e-15)


def test_a_copy_of_the_numbers_is_apart() -> None:
    """Of values, gradients and states alike."""
    state = StepState([torch.ones(1, 2)], [torch.ones(1, 2)], [{"step": torch.ones(1, 1)}])
    other = state.copied()
    for tensor in (other.values[0], other.gradients[0], other.states[0]["step"]):
        assert torch.equal(tensor, torch.ones_like(tensor))
        tensor.zero_()
    assert all(bool(one.all()) for one in (state.values[0], state.gradients[0], state.states[0]["step"]))


def test_the_compiler_s_cache_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In annpipe's cache folder, unless the variable names another; limits come back afterwards."""
    import torch._dynamo

    limit = torch._dynamo.config.recompile_limit
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    with compiling():
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "cache" / "annpipe" / "inductor")
        assert torch._dynamo.config.recompile_limit == UNBOUNDED
    assert torch._dynamo.config.recompile_limit == limit
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    with compiling():
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "elsewhere"
