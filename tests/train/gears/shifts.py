"""Runs that shift to steps of many a call, and holds them to the eager gear."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.plan.plan import Plan
from annpipe.testing.components.training import LoopReports
from annpipe.train.gears.compiled.cuda_graph import Capture, GraphedSteps
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.compiled.kinds import GRAPHED, KINDS
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.shifting import Shifting, gear_for
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.loop import LAST, Loop
from annpipe.train.parts import build
from annpipe.train.schedule import schedule
from tests.comparing import hold_state

DOUBLE = {"float32": 1e-5, "float64": 1e-10}


def shifting(plan: Plan, told: list[Shift]) -> Shifting:
    parts = build(plan, torch.device("cpu"), torch.get_default_dtype())
    gear = gear_for(plan, parts, schedule(plan, len(parts.rows["train"])), told.append)
    assert isinstance(gear, Shifting)
    return gear


def eager(plan: Plan) -> Eager:
    parts = build(plan, torch.device("cpu"), torch.get_default_dtype())
    return Eager(plan, parts, schedule(plan, len(parts.rows["train"])))


def hold_to_eager(plan: Plan, chunks: tuple[int, ...] = (1, 8, 12, 9, 20), word: str = "compiled") -> Shifting:
    """The losses of all steps, then the whole state, are those of the eager gear; `word` is what is recorded."""
    tolerance, told = DOUBLE[plan.device.precision], list[Shift]()
    with computing(plan.device.precision, deterministic=False):
        gear, other = shifting(plan, told), eager(plan)
        losses = torch.cat([gear.advance(gear.pause_after(n)) for n in chunks])
        assert [one.tags.get("annpipe.gear") for one in told] == [word], told
        assert torch.allclose(losses, other.advance(len(losses)), rtol=tolerance, atol=0)
        state = copy.deepcopy(gear.state())
        assert state.pop("gear")["shifted_at"] == 1
        hold_state(other.state(), state, tolerance * 10)
        gradients = [[p.grad for p in one.parts.parameters if p.grad is not None] for one in (other, gear.solo)]
        hold_state(*gradients, tolerance * 10)
        assert gear.drain_rates() == other.drain_rates()
    return gear


VALIDATED = ["data.split={val: 0.3}", "train.evaluate_every=3", "optimizer={Adam: {lr: 0.03}}", "train.epochs=30"]


def trained(plan: Plan, folder: Path, word: str, *, stop_at: int | None = None, resume: bool = False) -> Loop:
    """A loop that has run, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    with computing(plan.device.precision, deterministic=False) as dtype:
        parts = build(plan, torch.device("cpu"), dtype)
        steps = schedule(plan, len(parts.rows["train"]))
        gear = Eager(plan, parts, steps) if word == "off" else gear_for(plan, parts, steps, lambda shift: None)
        loop = Loop(plan, parts, gear, steps, LoopReports(stop_at=stop_at), folder, {})
        if resume:
            loop.load_state(load_checkpoint(folder, LAST))
        loop.run()
        loop.gear.close()
    return loop


def numbers(loop: Loop) -> list[torch.Tensor]:
    return [one.detach() for one in loop.parts.model.parameters()]


def hold_resumed(plan: Plan, home: Path) -> None:
    """A run that was stopped and resumed in its gear has the bits of one that never was."""
    whole = trained(plan, home / "whole", "on")
    for stop_at in (5, 17):
        folder = home / f"{stop_at}"
        cut = trained(plan, folder, "on", stop_at=stop_at)
        assert stop_at <= cut.gear.step < whole.gear.step
        resumed = trained(plan, folder, "on", resume=True)
        assert all(map(torch.equal, numbers(resumed), numbers(whole)))
        assert resumed.memory.best == whole.memory.best


def on_the_cpu(monkeypatch: pytest.MonkeyPatch, capture: Capture, **own: Any) -> None:
    """The CPU has the graphed gear, with another way to capture."""

    def make(state: StackedState, n_steps: int, x: torch.Tensor, threads: int, is_full: bool) -> GraphedSteps:
        return GraphedSteps(state, n_steps, x, shares_rows=is_full, capture=capture)

    monkeypatch.setitem(KINDS, "cpu", replace(GRAPHED, make=make, **own))
