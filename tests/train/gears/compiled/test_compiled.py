"""The compiled gear: steps equal to the eager gear's, taken when they pay, left when they cannot be had."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.compiled import verify
from annpipe.train.gears.compiled.gearbox import Shift
from tests.conftest import unrecorded
from tests.train.gears.shifts import VALIDATED, eager, hold_resumed, hold_to_eager, numbers, shifting, trained
from tests.train.gears.stacks import OPTIMIZERS, SPEC, hold_stack
from tests.training import Planned

COMPILED = SPEC.replace("threads: 1,", "threads: 1, compile: on,")


@pytest.fixture
def compiler() -> None:
    """Skips where torch finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        pytest.skip("there is no C++ compiler here")


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.usefixtures("uncompiled")
def test_each_optimizer_takes_torch_s_own_steps(name: str, precision: str, planned: Planned) -> None:
    """Blocks of three batches of 8, and one by one the batch of 5 that ends an epoch."""
    hold_to_eager(planned(COMPILED, f"device.precision={precision}", f"optimizer={OPTIMIZERS[name][-1]}"))


@pytest.mark.parametrize(
    "override",
    [
        "loss=L1Loss",
        "loss={HuberLoss: {reduction: sum}}",
        "loss={weighted_sum: {losses: [MSELoss, L1Loss], weights: [1, 0.5]}}",
        "model=[Linear: 6, GELU, LayerNorm, {Linear: {out_features: 4, bias: false}}, LeakyReLU, Linear: 1]",
        "model=[Linear: 6, residual: {layers: [Linear: 6, Tanh]}, Linear: 1]",
        "model={layers: [Linear: 6, Tanh, Linear: 1], freeze: [0.weight]}",
        "train.batch_size=all",
        "train.shuffle=false",
        "data.split={val: 0.3}",
    ],
)
@pytest.mark.usefixtures("uncompiled")
def test_steps_are_equal_for_what_a_run_may_have(override: str, planned: Planned) -> None:
    """Losses, layers, frozen parameters, full batches, looks between."""
    hold_to_eager(planned(COMPILED, override, "optimizer={Adam: {lr: 0.01}}"))


@pytest.mark.parametrize("each", ["epoch", "step"])
@pytest.mark.parametrize("scheduler", ["{ExponentialLR: {gamma: 0.9}}", "{OneCycleLR: {max_lr: 0.1, total_steps: 60}}"])
@pytest.mark.usefixtures("uncompiled")
def test_schedulers_move_within_a_block(scheduler: str, each: str, planned: Planned) -> None:
    """Each step of a block has the rate of its own."""
    own = ["optimizer={Adam: {lr: 0.05}}", f"train.scheduler_each={each}", f"scheduler={scheduler}"]
    hold_to_eager(planned(COMPILED, *own, "train.batch_size=all"))


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_compiled_steps_are_the_eager_ones_and_are_compiled_once(planned: Planned) -> None:
    """By torch's own compiler, with a scheduler that moves at each step."""
    from torch._dynamo.utils import counters

    own = ["model=[Linear: 1, Tanh]", "train.batch_size=all", "optimizer={SGD: {lr: 0.05}}"]
    looks = ["data.split={val: 0.3}", "scheduler={ExponentialLR: {gamma: 0.9}}", "train.scheduler_each=step"]
    counters.clear()
    hold_to_eager(planned(COMPILED, *own, *looks), (1, 1, 40))
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.soak
@pytest.mark.usefixtures("compiler")
def test_a_stack_compiles_once(planned: Planned) -> None:
    """By torch's own compiler."""
    from torch._dynamo.utils import counters

    own = ["model=[Linear: 3, Tanh, Linear: 1]", "train.batch_size=all", "optimizer={Adam: {lr: 0.01}}"]
    looks = ["data.split={val: 0.3}", "train.evaluate_every=2"]
    counters.clear()
    hold_stack([planned(COMPILED, *own, *looks, f"seed={seed}") for seed in range(3)], chunks=(1, 49))
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.soak
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.usefixtures("compiler")
def test_each_optimizer_compiles(name: str, precision: str, planned: Planned) -> None:
    """By torch's own compiler."""
    hold_to_eager(planned(COMPILED, f"device.precision={precision}", f"optimizer={OPTIMIZERS[name][-1]}"))


@pytest.mark.soak
@pytest.mark.parametrize("name", ["quadratic", "digits_mlp", "residual_mlp", "moons"])
@pytest.mark.usefixtures("compiler")
def test_pipelines_compile(name: str, planned: Planned) -> None:
    """Classes and blocks; Dropout, with which a run stays eager, drops nothing here."""
    folder = Path(__file__).parents[4] / "pipelines"
    plan = planned((folder / f"{name}.yaml").read_text().replace("tables/", f"{folder}/tables/"))
    own = "device={type: cpu, threads: 1, precision: float64, compile: on}"
    plan = planned(re.sub(r"\bp: [\d.]+", "p: 0", plan.to_yaml()), own)
    hold_to_eager(plan, (1, 8, 8))


@pytest.mark.usefixtures("uncompiled")
def test_a_compiled_run_resumes_bit_for_bit(tmp_path: Path, planned: Planned) -> None:
    """The steps after the interruption are in the same blocks."""
    hold_resumed(planned(COMPILED, *VALIDATED), tmp_path)


@pytest.mark.parametrize(("first", "then"), [("on", "off"), ("off", "on")])
@pytest.mark.usefixtures("uncompiled")
def test_checkpoints_serve_either_gear(first: str, then: str, tmp_path: Path, planned: Planned) -> None:
    """What one gear left, the other goes on from; the numbers are those of one eager run but for rounding."""
    plan = planned(COMPILED, *VALIDATED)
    whole = trained(plan, tmp_path / "whole", "off")
    trained(plan, tmp_path / "cut", first, stop_at=20)
    resumed = trained(plan, tmp_path / "cut", then, resume=True)
    assert resumed.gear.step == whole.gear.step
    assert all(
        torch.allclose(*pair, rtol=1e-9, atol=1e-11) for pair in zip(numbers(resumed), numbers(whole), strict=True)
    )


def _broken(function: Any, **options: Any) -> Any:
    raise RuntimeError("no compiler today\nand more")


def _wrong(function: Callable[..., torch.Tensor], **options: Any) -> Callable[..., torch.Tensor]:
    return lambda *taken: function(*taken) * 1.01


def _astray(function: Callable[..., torch.Tensor], **options: Any) -> Callable[..., torch.Tensor]:
    def run(values: list[torch.Tensor], *others: Any) -> torch.Tensor:
        losses = function(values, *others)
        values[0].add_(1e-3)
        return losses

    return run


@pytest.mark.parametrize(
    ("compile_", "reason"),
    [(_broken, "RuntimeError: no compiler today"), (_wrong, "its losses"), (_astray, "its parameters|its losses")],
)
def test_a_run_falls_back_with_one_warning(
    compile_: Any, reason: str, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the step cannot be compiled, or is another one, the run is the eager gear's to the bit."""
    monkeypatch.setattr(torch, "compile", compile_)
    told = list[Shift]()
    plan = planned(COMPILED, "optimizer={Adam: {lr: 0.01}}")
    with computing("float64", deterministic=False):
        gear, other = shifting(plan, told), eager(plan)
        losses = torch.cat([gear.advance(gear.pause_after(n)) for n in (1, 3, 20)])
        assert torch.equal(losses, other.advance(24))
        assert all(map(torch.equal, gear.solo.parts.parameters, other.parts.parameters))
    (shift,) = told
    assert shift.message.startswith("warning: the run stays with the eager gear")
    assert any(one in shift.message for one in reason.split("|"))
    assert "annpipe.gear" not in shift.tags


@pytest.mark.parametrize("batch", ["8", "all"])
@pytest.mark.parametrize("name", ["Adam", "momentum", "groups"])
def test_a_stack_takes_compiled_steps(name: str, batch: str, uncompiled: list[object], planned: Planned) -> None:
    """Each member's are those of its own eager run, with a scheduler of its own; one asks for them by and by."""
    own = [f"optimizer={one}" for one in OPTIMIZERS[name]]
    rates = ["scheduler={ExponentialLR: {gamma: 0.95}}", "scheduler={StepLR: {step_size: 2, gamma: 0.7}}"]
    plans = [planned(COMPILED, f"train.batch_size={batch}", *one) for one in zip(own, rates, strict=True)]
    hold_stack(plans, chunks=(1, 9, 33, 7))
    n_blocks = len(uncompiled) - verify.TIMED_ROUNDS - 1
    assert len(set(uncompiled)) == 1
    assert n_blocks > 3


@pytest.mark.usefixtures("uncompiled")
def test_steps_that_are_no_faster_are_not_taken(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with two OpenMP runtimes that wait for one another."""
    monkeypatch.setattr(verify, "NEEDED_GAIN", float("inf"))
    told = list[Shift]()
    with computing("float64", deterministic=False):
        shifting(planned(COMPILED), told).advance(1)
        gear = shifting(planned(COMPILED), told)
        gear.advance(1)
        gear.advance(9)
    assert "not faster with 1 threads" in told[-1].message


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model=[Linear: 4, Dropout: 0.5, Linear: 1]", "Dropout"),
        ("model=[Linear: 4, BatchNorm1d, Linear: 1]", "BatchNorm1d"),
        ("optimizer=LBFGS", "LBFGS"),
        ("train.clip_norm=1", "clipped gradients"),
        ("average=EMA", "average"),
    ],
)
def test_what_cannot_be_compiled_says_why(override: str, reason: str, planned: Planned) -> None:
    """Once, and trains on."""
    told = list[Shift]()
    with computing("float64", deterministic=False):
        gear = shifting(planned(COMPILED, override), told)
        for n in (1, 2, 3):
            gear.advance(n)
    (shift,) = told
    assert reason in shift.message


@pytest.mark.usefixtures("uncompiled")
def test_a_run_records_its_gear_and_shift(go: Callable[..., Any]) -> None:
    """As tags in the journal, and a line for who watches."""
    with unrecorded():
        gone = go(COMPILED)
    tags: dict[str, str] = {}
    for line in (gone.folder / "journal.jsonl").read_text().splitlines():
        tags |= json.loads(line).get("tags") or {}
    assert gone.outcome.status == "FINISHED"
    assert (tags["annpipe.gear"], tags["annpipe.threads"]) == ("compiled", "1")
    assert tags["annpipe.shifts"].startswith("step 1: eager → compiled in ")
    assert any(one.startswith("compiled the step in") for one in gone.said)
