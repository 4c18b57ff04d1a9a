"""The graphed gear, with a stand-in for the graph: its steps are the eager gear's, and left where they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.plan.plan import Plan
from annpipe.train.gears.compiled import cuda_graph, gearbox, verify
from annpipe.train.gears.compiled.cuda_graph import Capture, Replay
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.compiled.worth import CompileRecord
from annpipe.train.gears.shifting import Shifting
from annpipe.train.gears.stack import Member, StackedRuns
from tests.conftest import unrecorded
from tests.sampling import sample
from tests.train.gears.recording import Recorder
from tests.train.gears.shifts import (
    VALIDATED,
    eager,
    hold_resumed,
    hold_to_eager,
    numbers,
    on_the_cpu,
    shifting,
    trained,
)
from tests.train.gears.stacks import OPTIMIZERS, SPEC, built, hold_stack
from tests.training import Planned

GRAPHED_SPEC = SPEC.replace("threads: 1,", "threads: 1, compile: on,")
FULL = "train.batch_size=all"


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Steps on the CPU are captured by a stand-in."""
    found = Recorder()
    on_the_cpu(monkeypatch, found)
    return found


def hold(plan: Plan, chunks: tuple[int, ...] = (1, 8, 12, 9, 20)) -> Shifting:
    """The losses of all steps, then the whole state, are those of the eager gear."""
    return hold_to_eager(plan, chunks, "graphed")


@pytest.mark.parametrize(
    ("precision", "batch"), sample([("float32", "8"), ("float64", "8"), ("float64", "all"), ("float32", "all")], 2)
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_takes_torch_s_own_steps(
    name: str, precision: str, batch: str, recorder: Recorder, planned: Planned
) -> None:
    """Captured once, on copies; the graph that was checked takes the run's steps."""
    own = [f"device.precision={precision}", f"optimizer={OPTIMIZERS[name][-1]}", f"train.batch_size={batch}"]
    hold(planned(GRAPHED_SPEC, *own), (1, 8, 12, 9, 20))
    assert recorder.captures == 1
    assert recorder.replays > 3 + verify.TIMED_ROUNDS


@pytest.mark.parametrize(
    "override",
    [
        "loss=L1Loss",
        "loss={HuberLoss: {reduction: sum}}",
        "loss={weighted_sum: {losses: [MSELoss, L1Loss], weights: [1, 0.5]}}",
        "model=[Linear: 6, GELU, LayerNorm, {Linear: {out_features: 4, bias: false}}, LeakyReLU, Linear: 1]",
        "model=[Linear: 6, residual: {layers: [Linear: 6, Tanh]}, Linear: 1]",
        "model={layers: [Linear: 6, Tanh, Linear: 1], freeze: [0.weight]}",
        "train.shuffle=false",
        "data.split={val: 0.3}",
    ],
)
def test_steps_are_equal_for_what_a_run_may_have(override: str, recorder: Recorder, planned: Planned) -> None:
    """Losses, layers, frozen parameters, rows as they lie, looks between."""
    hold(planned(GRAPHED_SPEC, override, "optimizer={Adam: {lr: 0.01}}"))
    assert recorder.captures == 1


@pytest.mark.slow
@pytest.mark.parametrize("each", ["epoch", "step"])
@pytest.mark.parametrize(
    "scheduler", ["{ExponentialLR: {gamma: 0.99}}", "{OneCycleLR: {max_lr: 0.01, total_steps: 600}}"]
)
def test_schedulers_move_within_a_long_block(scheduler: str, each: str, recorder: Recorder, planned: Planned) -> None:
    """Each step of a block has the rate of its own; so have those of the next one."""
    own = ["optimizer={Adam: {lr: 0.01}}", f"train.scheduler_each={each}", f"scheduler={scheduler}"]
    gear = hold(planned(GRAPHED_SPEC, *own, FULL, "train.epochs=600"), (1, 70, 100))
    assert gear._box.groups.steps_per_call == 60
    assert recorder.replays > 2 + verify.TIMED_ROUNDS


CLASSES = ["model=[Linear: 16, ReLU, Linear: 3]"]
CONVOLUTIONS = [
    "blocks={norm: [Hardtanh, GELU]}",
    "model=[Conv2d: {out_channels: 4, kernel_size: 3}, norm, MaxPool2d: 2, AdaptiveAvgPool2d: 2, Flatten, Linear: 10]",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "own"), [("residual_mlp", []), ("moons", []), ("wine", CLASSES), ("digits_convnet", CONVOLUTIONS)]
)
def test_pipelines_are_captured(name: str, own: list[str], recorder: Recorder, planned: Planned) -> None:
    """Convolutions, classes, blocks: no operation that a capture refuses."""
    folder = Path(__file__).parents[4] / "pipelines"
    plan = planned((folder / f"{name}.yaml").read_text().replace("tables/", f"{folder}/tables/"), *own)
    plan = planned(plan.to_yaml(), "device={type: cpu, threads: 1, precision: float64, compile: on}")
    hold(plan, (1, 8, 8))
    assert recorder.captures == 1


@pytest.mark.usefixtures("recorder")
def test_a_graphed_run_resumes_bit_for_bit(tmp_path: Path, planned: Planned) -> None:
    """The steps after the interruption are in the same blocks."""
    hold_resumed(planned(GRAPHED_SPEC, *VALIDATED), tmp_path)


@pytest.mark.parametrize(
    ("first", "then"), [("graphed", "off"), ("off", "graphed"), ("graphed", "on"), ("on", "graphed")]
)
def test_checkpoints_serve_every_gear(
    first: str, then: str, tmp_path: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one gear left, another goes on from, as when a run moves between machines."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    plan = planned(GRAPHED_SPEC, *VALIDATED)
    whole = trained(plan, tmp_path / "whole", "off")
    for word, own in ((first, {"stop_at": 20}), (then, {"resume": True})):
        with monkeypatch.context() as patch:
            if word == "graphed":
                on_the_cpu(patch, Recorder())
            last = trained(plan, tmp_path / "cut", word, **own)
    assert last.gear.step == whole.gear.step
    pairs = zip(numbers(last), numbers(whole), strict=True)
    assert all(torch.allclose(*pair, rtol=1e-9, atol=1e-11) for pair in pairs)


@pytest.mark.parametrize("batch", ["8", "all"])
@pytest.mark.parametrize("name", ["Adam", "momentum", "groups"])
def test_a_stack_takes_graphed_steps(name: str, batch: str, recorder: Recorder, planned: Planned) -> None:
    """Each member's are those of its own eager run, with a scheduler of its own; one asks for them by and by."""
    own = [f"optimizer={one}" for one in OPTIMIZERS[name]]
    rates = ["scheduler={ExponentialLR: {gamma: 0.95}}", "scheduler={StepLR: {step_size: 2, gamma: 0.7}}"]
    plans = [planned(GRAPHED_SPEC, f"train.batch_size={batch}", *one) for one in zip(own, rates, strict=True)]
    hold_stack(plans, chunks=(1, 9, 33, 7))
    assert recorder.captures == 1
    assert recorder.replays > 4 + verify.TIMED_ROUNDS


@pytest.mark.parametrize("batch", ["8", "all"])
def test_a_stack_that_half_has_left_is_captured_anew(batch: str, recorder: Recorder, planned: Planned) -> None:
    """For fewer members; those that stay have the steps of their own eager runs, those that left keep what they had."""
    own = ["optimizer={Adam: {lr: 0.01}}", f"train.batch_size={batch}"]
    plans = [planned(GRAPHED_SPEC, *own, f"seed={seed}") for seed in range(4)]
    told = list[Shift]()
    with computing("float64", deterministic=False):
        runs = [built(plan) for plan in plans]
        stack = StackedRuns(plans, [one.parts for one in runs], [one.schedule for one in runs], told.append)
        asked = {member: 12 if place < 2 else 50 for place, member in enumerate(stack.members)}

        def work(member: Member) -> torch.Tensor:
            losses = [member.advance(1), member.advance(asked[member] - 1)]
            return torch.cat(losses)

        for plan, run, losses in zip(plans, runs, stack.together(work), strict=True):
            other = eager(plan)
            assert torch.allclose(losses, other.advance(len(losses)), rtol=1e-10, atol=0)
            for one, own_ in zip(run.parameters, other.parts.parameters, strict=True):
                assert torch.allclose(one, own_, rtol=1e-9, atol=1e-11)
    assert recorder.captures == 2
    assert [one.tags["annpipe.gear"] for one in told] == ["stacked, graphed"] * 2


def _broken(function: Replay) -> Replay:
    function()
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")


def _wrong(function: Replay) -> Replay:
    return lambda: function() * 1.01


def _stale(function: Replay) -> Replay:
    """Gives again what it gave first, and does nothing more."""
    given = list[torch.Tensor]()

    def replay() -> torch.Tensor:
        if not given:
            given.append(function())
        return given[0]

    return replay


def _waiting(function: Replay) -> Replay:
    def waits() -> torch.Tensor:
        losses = function()
        return losses * losses.sum().item()

    return Recorder()(waits)


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (_broken, "RuntimeError: CUDA error: operation not permitted"),
        (_wrong, "its losses"),
        (_stale, "its losses"),
        (_waiting, "RuntimeError: operation not permitted"),
    ],
)
def test_a_run_falls_back_with_one_warning(
    capture: Capture, reason: str, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where steps cannot be captured, or a replay takes others, the run is the eager gear's to the bit."""
    on_the_cpu(monkeypatch, capture)
    _hold_eager(planned(GRAPHED_SPEC, "optimizer={Adam: {lr: 0.01}}"), reason)


@pytest.mark.parametrize("part", ["xs", "ys", "numbers"])
def test_what_a_replay_does_not_take_in_anew_is_noticed(
    part: str, recorder: Recorder, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the second call of the check: rows or numbers of the first one, or those that nobody gave back."""

    def copied(into: list[torch.Tensor], others: list[torch.Tensor]) -> None:
        memory = {"xs": 0, "ys": 1, "numbers": 2}[part]
        kinds = [0 if one.dim() > 2 and one.shape[-1] == 2 else 1 if one.dim() > 2 else 2 for one in into]
        if kinds[0] != memory:
            torch._foreach_copy_(into, others)

    class Torch:
        """Torch, of which one function is another."""

        _foreach_copy_ = staticmethod(copied)

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

    monkeypatch.setattr(cuda_graph, "torch", Torch())
    _hold_eager(planned(GRAPHED_SPEC, "optimizer={Adam: {lr: 0.01}}"), "eager gear")
    assert recorder.captures == 1


def _hold_eager(plan: Plan, reason: str) -> None:
    """The run stays eager, to the bit, and says once why."""
    told = list[Shift]()
    with computing("float64", deterministic=False):
        gear, other = shifting(plan, told), eager(plan)
        losses = torch.cat([gear.advance(gear.pause_after(n)) for n in (1, 3, 20)])
        assert torch.equal(losses, other.advance(24))
        assert all(map(torch.equal, gear.solo.parts.parameters, other.parts.parameters))
    (shift,) = told
    assert shift.message.startswith("warning: the run stays with the eager gear, its steps are not captured")
    assert reason in shift.message
    assert "annpipe.gear" not in shift.tags


@pytest.mark.usefixtures("recorder")
def test_steps_that_are_no_faster_are_not_taken(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how fast both were."""
    monkeypatch.setattr(verify, "NEEDED_GAIN", float("inf"))
    _hold_eager(planned(GRAPHED_SPEC), "it is not faster: ")


@pytest.mark.usefixtures("recorder")
def test_auto_shifts_when_the_gain_pays(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is known of such runs, or by what capturing costs as a rule."""
    monkeypatch.setattr(gearbox, "MEASURE_SECONDS", 0.0)
    monkeypatch.setattr(gearbox, "SHORT_SECONDS", 0.0)
    cases = (
        (CompileRecord(1e-9, 1.0, 0.5), ["graphed"]),
        (CompileRecord(1e9, 1.0, 0.5), []),
        (None, []),
        (CompileRecord(0.0, refused="x"), []),
    )
    for known, gears in cases:
        monkeypatch.setattr(gearbox, "recall", lambda key, known=known: known)
        told = list[Shift]()
        with computing("float64", deterministic=False):
            gear = shifting(planned(SPEC), told)
            for n in (1, 2, 3, 3):
                gear.advance(n)
        assert [one.tags["annpipe.gear"] for one in told] == gears


@pytest.mark.usefixtures("recorder")
def test_a_run_records_its_gear_and_shift(go: Callable[..., Any]) -> None:
    """As tags in the journal, and a line for who watches."""
    with unrecorded():
        gone = go(GRAPHED_SPEC)
    tags: dict[str, str] = {}
    for line in (gone.folder / "journal.jsonl").read_text().splitlines():
        tags |= json.loads(line).get("tags") or {}
    assert gone.outcome.status == "FINISHED"
    assert tags["annpipe.gear"] == "graphed"
    assert tags["annpipe.shifts"].startswith("step 1: eager → graphed in ")
    assert any(one.startswith("captured the steps as a CUDA graph in ") for one in gone.said)
