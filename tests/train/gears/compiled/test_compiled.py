"""The compiled gear: steps equal to the eager gear's, taken when they pay, left when they cannot be had."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.gears.compiled import gearbox, verify
from annpipe.train.gears.compiled.gearbox import Shift
from annpipe.train.gears.compiled.steps import CompiledSteps, StepInputs, state_of, steps_of
from annpipe.train.gears.compiled.verify import option_table
from annpipe.train.gears.compiled.worth import CompileRecord, StepGroups, is_worth, recall, remember, step_groups
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.shifting import gear_for
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.parts import build
from annpipe.train.schedule import Schedule, schedule
from tests.conftest import unrecorded
from tests.train.gears.shifts import VALIDATED, eager, hold_resumed, hold_to_eager, numbers, shifting, trained
from tests.train.gears.stacks import OPTIMIZERS, SPEC, hold_stack
from tests.training import Planned

COMPILED = SPEC.replace("threads: 1,", "threads: 1, compile: on,")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test learns of compiling is no other's; how fast things are decides nothing here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache" / "inductor"))
    monkeypatch.setattr(verify, "NEEDED_GAIN", 0.0)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The steps are taken as they are written, without a compiler; what was to be compiled, for each call of it."""
    calls = list[object]()

    def compile_(function: Callable[..., torch.Tensor], **options: Any) -> Callable[..., torch.Tensor]:
        def run(*taken: Any) -> torch.Tensor:
            calls.append(function)
            return function(*taken)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    return calls


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


@pytest.mark.usefixtures("compiler")
def test_compiled_steps_are_the_eager_ones_and_are_compiled_once(planned: Planned) -> None:
    """By torch's own compiler, with a scheduler that moves at each step."""
    from torch._dynamo.utils import counters

    own = ["model=[Linear: 1, Tanh]", "train.batch_size=all", "optimizer={SGD: {lr: 0.05}}"]
    looks = ["data.split={val: 0.3}", "scheduler={ExponentialLR: {gamma: 0.9}}", "train.scheduler_each=step"]
    counters.clear()
    hold_to_eager(planned(COMPILED, *own, *looks), (1, 1, 40))
    assert counters["stats"]["unique_graphs"] == 1


def test_steps_of_one_shape_are_told_apart(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch has compiled for two runs in one process, called by turns, is kept apart."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda steps, **_: compile_(steps, fullgraph=True, backend="eager"))
    runs = []
    for loss in ("loss=L1Loss", "loss=MSELoss"):
        plan = planned(COMPILED, loss, "model=[Linear: 1]", "train.batch_size=all", "optimizer={SGD: {lr: 0.01}}")
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


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
def test_a_stack_compiles_once(planned: Planned) -> None:
    """By torch's own compiler."""
    from torch._dynamo.utils import counters

    own = ["model=[Linear: 3, Tanh, Linear: 1]", "train.batch_size=all", "optimizer={Adam: {lr: 0.01}}"]
    looks = ["data.split={val: 0.3}", "train.evaluate_every=2"]
    counters.clear()
    hold_stack([planned(COMPILED, *own, *looks, f"seed={seed}") for seed in range(3)], chunks=(1, 49))
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.usefixtures("compiler")
def test_each_optimizer_compiles(name: str, precision: str, planned: Planned) -> None:
    """By torch's own compiler."""
    hold_to_eager(planned(COMPILED, f"device.precision={precision}", f"optimizer={OPTIMIZERS[name][-1]}"))


@pytest.mark.slow
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


def test_off_and_deterministic_runs_stay_eager(planned: Planned) -> None:
    """`auto` of a deterministic run is `off`."""
    for override in ("device.compile=off", "device={compile: auto, deterministic: true}"):
        plan = planned(SPEC, override)
        with computing(plan.device.precision, deterministic=False) as dtype:
            parts = build(plan, torch.device("cpu"), dtype)
            assert type(gear_for(plan, parts, schedule(plan, len(parts.rows["train"])), print)) is Eager


@pytest.mark.usefixtures("uncompiled")
def test_auto_shifts_when_what_is_known_says_that_it_pays(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not where the gain over the steps that are left is less than the compiling."""
    monkeypatch.setattr(gearbox, "MEASURE_SECONDS", 0.0)
    monkeypatch.setattr(gearbox, "SHORT_SECONDS", 0.0)
    for known, gears in ((CompileRecord(1e-9, 1.0, 0.5), ["compiled"]), (CompileRecord(1e9, 1.0, 0.5), []), (None, [])):
        monkeypatch.setattr(gearbox, "recall", lambda key, known=known: known)
        told = list[Shift]()
        with computing("float64", deterministic=False):
            gear = shifting(planned(SPEC), told)
            for n in (1, 2, 3, 3):
                gear.advance(n)
        assert [one.tags["annpipe.gear"] for one in told] == gears


def test_a_gain_has_to_pay_for_the_compiling() -> None:
    """In numbers: seconds a step, steps left, layers, steps of a call."""
    assert not is_worth(0.0006, 10_000, 7, 8, None)
    assert is_worth(0.0006, 1_000_000, 7, 8, None)
    assert not is_worth(1.0, 10_000, 7, 8, None)  # the arithmetic of large layers takes as long compiled
    known = CompileRecord(40.0, 0.0006, 0.0002)
    assert known.next_seconds == 12.0
    assert is_worth(0.0006, 50_000, 7, 8, known)
    assert not is_worth(0.0006, 30_000, 7, 8, known)
    again = CompileRecord(5.0, 0.0006, 0.0002).after(known)
    assert (again.compile_seconds, again.next_seconds) == (40.0, 5.0)
    assert is_worth(0.0006, 30_000, 7, 8, again)
    assert not is_worth(0.0006, 10**9, 7, 8, CompileRecord(0.0, refused="no compiler"))
    assert not is_worth(0.0006, 10**9, 7, 8, CompileRecord(10.0, 0.0006, 0.0006))


def test_what_compiling_took_is_remembered(tmp_path: Path) -> None:
    """In the cache folder; a file that is no memory is as good as none."""
    assert recall("abc") is None
    remember("abc", CompileRecord(40.0, 0.0006, 0.0002))
    assert recall("abc") == CompileRecord(40.0, 0.0006, 0.0002)
    (tmp_path / "cache" / "annpipe" / "gears" / "abc.json").write_text('{"other": 1}')
    assert recall("abc") is None


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (Schedule(100, 100, 1000, False, None), 8),
        (Schedule(100, 100, 1000, False, 1), 1),
        (Schedule(100, 100, 1000, False, 10), 5),
        (Schedule(29, 8, 50, False, None), 3),
        (Schedule(2000, 64, 20, False, None), 6),
        (Schedule(2000, 64, 20, True, 2), 6),
        (Schedule(100, 100, None, False, None, 20), 5),
    ],
)
def test_blocks_are_the_same_wherever_a_run_pauses(made: Schedule, size: int) -> None:
    """No block has a short batch or a look in it, and little is left over."""
    cut = step_groups(made)
    assert cut.steps_per_call == size
    end = min(made.total_steps, 300)
    whole = _taken(cut, 0, end, itertools.repeat(4096))
    for chunks in ([1, 2, 4, 8, 16, 32], [3], [7, 1]):
        assert _taken(cut, 0, end, itertools.cycle(chunks)) == whole
    for begin, n in whole:
        rows = {made.rows_at(step % made.steps_per_epoch) for step in range(begin, begin + n)}
        assert len(rows) == 1
        assert begin + n <= made.next_look(begin)


def _taken(cut: StepGroups, step: int, end: int, chunks: Any) -> list[tuple[int, int]]:
    """(step, steps) of each call, as loop and gear go on together."""
    found = []
    while step < end:
        stop = min(step + cut.pause_after(step, next(chunks)), cut.schedule.next_look(step))
        while step < stop:
            n = cut.steps_at(step)
            assert step + n <= stop
            found.append((step, n))
            step += n
    return [one for one in found if one[0] < end - 8]


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
