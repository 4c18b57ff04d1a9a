"""The gear of a run by itself: which one a plan asks for, and what it leaves when it is closed."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.compiled import verify
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.eager.guard import NOT_FINITE
from annpipe.train.gears.shifting import Shifting, gear_for
from annpipe.train.parts import build
from annpipe.train.schedule import schedule
from tests.comparing import hold_state
from tests.train.gears.shifts import eager, shifting
from tests.train.gears.stacks import SPEC
from tests.training import Planned


def test_off_and_deterministic_runs_stay_eager(planned: Planned) -> None:
    """`auto` of a deterministic run is `off`."""
    for override in ("device.compile=off", "device={compile: auto, deterministic: true}"):
        plan = planned(SPEC, override)
        with computing(plan.device.precision, deterministic=False) as dtype:
            parts = build(plan, torch.device("cpu"), dtype)
            assert type(gear_for(plan, parts, schedule(plan, len(parts.rows["train"])), print)) is Eager


@pytest.fixture
def run(planned: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shifting:
    """A run that shifts after its first step; its steps are taken as they are written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(verify, "NEEDED_GAIN", 0.0)
    monkeypatch.setattr(torch, "compile", lambda steps, **options: steps)
    with computing("float64", deterministic=False):
        gear = shifting(planned(SPEC, "device.compile=on", "optimizer={Adam: {lr: 0.01}}"), [])
        gear.advance(1)
        gear.advance(3)
    return gear


def memory(gear: Shifting) -> set[int]:
    """Where the tensors of the parameters lie, each piece once."""
    return {parameter.untyped_storage().data_ptr() for parameter in gear.solo.parts.parameters}


def test_closing_gives_each_parameter_memory_of_its_own(run: Shifting) -> None:
    """While the steps are compiled, all lie in one matrix; the numbers stay, and so does the optimizer's state."""
    before = copy.deepcopy(run.state())
    assert len(memory(run)) == 1
    run.close()
    assert len(memory(run)) == len(run.solo.parts.parameters)
    hold_state(before, run.state(), 0.0)
    for state in run.solo.optimizer.state.values():
        assert state["exp_avg"].untyped_storage().nbytes() == state["exp_avg"].nbytes


def test_a_rate_from_outside_is_that_of_the_next_step(run: Shifting) -> None:
    """As a scheduler that follows a metric leaves it, when a metric is told."""
    before = [parameter.detach().clone() for parameter in run.solo.parts.parameters]
    run.solo.optimizer.param_groups[0]["lr"] = 0.0
    run.scheduler_on_metric(1.0)
    with computing("float64", deterministic=False):
        run.advance(7)
    assert run.step == 11
    assert all(map(torch.equal, run.solo.parts.parameters, before))


def test_a_state_is_that_of_the_eager_gear_and_one_more(run: Shifting, planned: Planned) -> None:
    """It says when it shifted; a state without that, of an eager run, is gone on from, too."""
    state = copy.deepcopy(run.state())
    assert state.pop("gear")["shifted_at"] == 1
    with computing("float64", deterministic=False):
        assert state.keys() == eager(planned(SPEC, "optimizer={Adam: {lr: 0.01}}")).state().keys()
        run.advance(4)
        run.load_state(copy.deepcopy(state))
        assert run.step == 4
        assert run.state()["gear"]["shifted_at"] is None
        hold_state(state, {name: part for name, part in run.state().items() if name != "gear"}, 0.0)


def test_a_stack_that_broke_ends_the_run(run: Shifting) -> None:
    """As the eager gear does where gradients are not finite: the loss of that step is the last."""
    rows = run.solo.parts.rows["train"]
    rows.y[:] = torch.inf
    with computing("float64", deterministic=False):
        losses = run.advance(6)
    assert run.guard.broken == NOT_FINITE
    assert len(losses) < 6
    assert not losses[-1].isfinite()
