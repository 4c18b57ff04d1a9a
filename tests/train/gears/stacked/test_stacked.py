"""Many runs trained as one stack: each member's steps are those of its own run, number for number."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import ks_2samp

from annpipe.backend.device import available_cores, computing
from annpipe.errors import NonFiniteLoss
from annpipe.plan.plan import Plan
from annpipe.testing.components.training import LoopReports
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.stack import Member, StackedRuns
from annpipe.train.gears.stacked.eligibility import stack_key
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.loop import LAST, Loop
from tests.comparing import hold_state
from tests.train.gears.stacks import OPTIMIZERS, SPEC, STEPS, built, hold_stack, stack_of
from tests.training import Planned

SEEDS = ["seed=1", "seed=2", "seed=3"]
LINE = "table: {inputs: {a: [0.1, 0.9, -0.4, 0.3, -0.8, 0.5]}, targets: {y: [1, 0, 0, 1, 0, 1]}}"


WORDS = """
import torch
from annpipe import Dataset, data

@data
def three_words() -> Dataset:
    rows = torch.arange(17)
    words = torch.stack([rows % 5, rows * 3 % 5, rows * rows % 5], 1)
    return Dataset({"words": words}, {"y": (rows % 2).double()})
"""


@pytest.mark.parametrize("precision", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_s_stacked_steps_are_torch_s_own(name: str, precision: str, planned: Planned) -> None:
    """Batches of 8, 8, 8 and 5 rows, other seeds, and a member that asks for its steps by and by."""
    own = [f"device.precision={precision}", "train.batch_size=8"]
    optimizers = [f"optimizer={one}" for one in OPTIMIZERS[name]] * 2
    plans = [planned(SPEC, *own, one, f"seed={seed}") for seed, one in enumerate(optimizers)]
    hold_stack(plans, chunks=(1, 2, 40, 7))


PAGE = (Path(__file__).parents[4] / "plugins" / "README.md").read_text(encoding="utf-8")
LION = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "class Lion" in block)
BY_ITSELF = re.sub(r"    stacked = .*\n", "", LION)
REPLACING = BY_ITSELF.replace("parameter.mul_(", "parameter.data = parameter.mul(")


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("code", [LION, BY_ITSELF, REPLACING], ids=["stacked", "by itself", "other memory"])
def test_an_optimizer_of_a_plugin_stacks(code: str, precision: str, planned: Planned) -> None:
    """By the step that it states, or by its own, even one that puts other memory in a parameter's place."""
    assert ("stacked =" in code) == (code is LION)
    own = [f"device.precision={precision}", "plugins=[lion.py]"]
    optimizers = ["{Lion: {lr: 0.001}}", "{Lion: {lr: 0.01, beta1: 0.8, weight_decay: 0.1}}"] * 2
    plans = [planned(SPEC, *own, f"optimizer={o}", f"seed={n}", lion=code) for n, o in enumerate(optimizers)]
    hold_stack(plans, chunks=(1, 2, 40, 7))


LAYERS = {
    "deep": "[Linear: 6, GELU, LayerNorm, {Linear: {out_features: 4, bias: false}}, LeakyReLU, Linear: 1]",
    "residual": "[Linear: 6, residual: {layers: [Linear: 6, Tanh]}, Linear: 1]",
    "convolution": "[{Unflatten: {dim: 1, unflattened_size: [1, 2]}}, {Conv1d: {out_channels: 3, kernel_size: 2}}, "
    "Flatten, Softplus, Linear: 1]",
    "prelu": "[Linear: 5, PReLU, Linear: 1]",
    "softmax": "[Linear: 5, {Softmax: {dim: 1}}, RMSNorm, Linear: 1]",
    "dropout": "[Linear: 12, Tanh, Dropout: 0.3, Linear: 8, ReLU, Dropout: 0.5, Linear: 1]",
    "frozen": "{layers: [Linear: 6, Tanh, Linear: 1], freeze: [0.weight]}",
    "statistics": "[{Linear: {out_features: 6, bias: false}}, BatchNorm1d, ReLU, Linear: 1]",
    "recurrent": "[{Unflatten: {dim: 1, unflattened_size: [2, 1]}}, {LSTM: {hidden_size: 3}}, Dropout: 0.3, Flatten, "
    "Linear: 1]",
    "dropped inside": "[Linear: 6, residual: {layers: [Linear: 6, Dropout: 0.5]}, AlphaDropout, Linear: 1]",
    "tapped": "[{Linear: {out_features: 4, bias: false}}, tap: a, BatchNorm1d, Tanh, join: a, Dropout: 0.5, Linear: 1]",
    "repeated": "[Linear: 6, repeat: {layers: [Linear: 6, Tanh], times: 2}, Linear: 1]",
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_their_own_runs(name: str, planned: Planned) -> None:
    """Also with dropout, whose masks are those that each run draws by itself."""
    hold_stack([planned(SPEC, f"model={LAYERS[name]}", "optimizer={Adam: {lr: 0.01}}", seed) for seed in SEEDS])


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "trains",
    [
        ["{epochs: 50, batch_size: 8, clip_norm: 0.3}", "{epochs: 50, batch_size: 8, clip_norm: 0.05}"],
        ["{epochs: 50, batch_size: 8, clip_value: 0.05}", "{epochs: 50, batch_size: 8}"],
        ["{epochs: 50, batch_size: 8, clip_value: 0.1, clip_norm: 0.1}", "{epochs: 50, batch_size: 8, clip_norm: 1}"],
        ["{epochs: 50, batch_size: 4, accumulate: 3}", "{epochs: 50, batch_size: 4, accumulate: 3, clip_norm: 0.1}"],
    ],
)
def test_gradients_are_clipped_and_gathered_for_each_member(
    trains: list[str], precision: str, planned: Planned
) -> None:
    """In two groups of parameters; the last batches of an epoch are smaller ones."""
    own = [f"device.precision={precision}", "optimizer={Adam: {lr: 0.01}, groups: [{params: '*.bias', lr: 0.1}]}"]
    hold_stack([planned(SPEC, *own, f"train={train}", f"seed={seed}") for seed, train in enumerate(trains * 2)])


def test_a_sum_is_gathered_as_a_sum(planned: Planned) -> None:
    """Its batches count in full."""
    own = ["loss={MSELoss: {reduction: sum}}", "train={epochs: 50, batch_size: 4, accumulate: 3}"]
    hold_stack([planned(SPEC, *own, "optimizer={SGD: {lr: 0.001}}", seed) for seed in SEEDS])


@pytest.mark.parametrize("average", ["{EMA: {decay: 0.9}}", "SWA"])
def test_each_member_keeps_an_average_of_its_own(average: str, planned: Planned) -> None:
    """As its own run would: the state of each is held against it."""
    hold_stack([planned(SPEC, f"average={average}", seed) for seed in SEEDS])


@pytest.mark.parametrize("model", ["[Linear: 7, Tanh, Linear: 1]", "[Linear: 7, GELU, Dropout: 0.3, Linear: 1]"])
def test_what_is_measured_changes_no_number(model: str, planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the trial passes nor the members that go through at once."""
    plans = [planned(SPEC, f"model={model}", "optimizer={Adam: {lr: 0.01}}", f"seed={n}") for n in range(5)]
    found = []
    with computing("float64", deterministic=False):
        for reaches in [(8 * 7,), (8 * 7 * 2, 8 * 7 * 4), None]:
            stack = stack_of([built(plan) for plan in plans])
            if reaches:
                monkeypatch.setattr("annpipe.train.gears.stack.MEASURED_STEPS", 1)
                monkeypatch.setattr("annpipe.train.gears.stacked.state.TRIED_CHUNK_ELEMENTS", reaches)
                assert stack.measure(1) == 1
                assert stack._chunk_elements in reaches
            found.append(stack.take(STEPS))
    assert torch.allclose(found[0], found[2], rtol=1e-10, atol=0)
    assert torch.allclose(found[1], found[2], rtol=1e-10, atol=0)


def test_threads_are_measured_for_long_runs_alone(planned: Planned) -> None:
    """A short one takes one thread, or as many as its spec says."""
    with computing("float64", deterministic=False):
        short = stack_of([built(planned(SPEC, seed)) for seed in SEEDS])
        assert short.measure("auto") == 1
        assert short.measure(2) == 2
        own = ["train.epochs=300", "data.formula.rows=64"]
        long = stack_of([built(planned(SPEC, *own, seed)) for seed in SEEDS])
        assert 1 <= long.measure("auto") <= available_cores()


def test_images_go_through_convolutions(planned: Planned) -> None:
    """Conv2d and pooling on digits of scikit-learn, with labels of classes."""
    spec = """
version: 1
name: images
seed: 1
device: {type: cpu, threads: 1, precision: float64}
data: {sklearn: {load: digits, images: true}, split: {val: 0.9, seed: 0}}
model: [Conv2d: {out_channels: 2, kernel_size: 3}, ReLU,
  MaxPool2d: {kernel_size: 2}, Flatten, Linear: 10]
loss: CrossEntropyLoss
optimizer: {AdamW: {lr: 0.01}}
train: {epochs: 3, batch_size: 64}
"""
    hold_stack([planned(spec, one) for one in ("seed=1", "seed=2")], 6, (3, 3))


def test_words_are_embedded(planned: Planned) -> None:
    """Whole numbers arrive, and an embedding makes vectors of them."""
    own = ["plugins=[words.py]", "data={three_words: {}}", "loss=BCEWithLogitsLoss", "optimizer={Adam: {lr: 0.01}}"]
    model = "model=[Embedding: {num_embeddings: 5, embedding_dim: 3}, Flatten, Linear: 1]"
    hold_stack([planned(SPEC, *own, model, seed, words=WORDS) for seed in SEEDS])


@pytest.mark.parametrize("name", ["activations", "digits_mlp", "moons", "penguins_heads", "residual_mlp"])
def test_pipelines_are_their_own_runs(name: str, planned: Planned) -> None:
    """Categories, several heads with losses of their own, blocks, and parameters that take no part."""
    folder = Path(__file__).parents[4] / "pipelines"
    text = (folder / f"{name}.yaml").read_text().replace("tables/", f"{folder}/tables/")
    hold_stack([planned(text, "device={type: cpu, threads: 1, precision: float64}", seed) for seed in SEEDS[:2]], 8)


@pytest.mark.parametrize(
    "losses",
    [
        ["L1Loss"],
        ["{SmoothL1Loss: {beta: 0.5}}", "{SmoothL1Loss: {beta: 0.1}}"],
        ["{HuberLoss: {reduction: sum}}"],
        [
            "{weighted_sum: {losses: [MSELoss, L1Loss], weights: [1, 0.5]}}",
            "{weighted_sum: {losses: [MSELoss, L1Loss], weights: [0.1, 2]}}",
        ],
        ["{BCEWithLogitsLoss: {pos_weight: 2}}", "{BCEWithLogitsLoss: {pos_weight: 0.5}}"],
    ],
)
def test_losses_may_differ_in_numbers(losses: list[str], planned: Planned) -> None:
    """Weights, widths and the weight of the ones."""
    data = ["data={" + LINE + "}"] if "BCE" in losses[0] else []
    hold_stack(
        [planned(SPEC, *data, "optimizer={SGD: {lr: 0.01}}", f"loss={one}", "train.batch_size=4") for one in losses * 2]
    )


@pytest.mark.parametrize("model", ["[Linear: 4, ReLU, Linear: 3]", "[Linear: 4, Mish, Linear: 3]"])
@pytest.mark.parametrize(
    "options", ["{}", "{reduction: sum}", "{weight: [1, 0.2, 3]}", "{weight: [1, 0.2, 3], reduction: sum}"]
)
def test_labels_are_compared_without_a_graph(options: str, model: str, planned: Planned) -> None:
    """Under a chain passed by hand and under other layers, a step's batches weighted by their rows."""
    own = ["data={" + LINE.replace("0, 0, 1, 0", "0, 2, 1, 0") + "}", "train={epochs: 9, batch_size: 2, accumulate: 2}"]
    own += [f"loss={{CrossEntropyLoss: {options}}}", "optimizer={Adam: {lr: 0.01}}", f"model={model}"]
    hold_stack([planned(SPEC, *own, seed) for seed in SEEDS], 8)


@pytest.mark.parametrize("option", ["{label_smoothing: 0.2}", "{ignore_index: 2}"])
def test_other_comparisons_of_labels_are_torch_s_own(option: str, planned: Planned) -> None:
    """Smoothed labels, and labels that are left out."""
    own = ["data={" + LINE.replace("0, 0, 1, 0", "0, 2, 1, 0") + "}", f"loss={{CrossEntropyLoss: {option}}}"]
    hold_stack([planned(SPEC, *own, "model=[Linear: 4, ReLU, Linear: 3]", seed) for seed in SEEDS], 8)


def test_adam_s_memory_may_fade_to_nothing(planned: Planned) -> None:
    """Numbers next to zero, those of parameters without gradient, are stepped as in a run by itself, bit for bit."""
    with computing("float32", deterministic=False):
        runs = [built(planned(SPEC, "device.precision=float32", "optimizer={Adam: {lr: 0.01}}", s)) for s in SEEDS]
        state = StackedState([run.plan for run in runs], [run.parts for run in runs], [torch.Generator()] * 3, 0)
        state.read_options()
        group = state.groups[0]
        for step in range(1, 4):
            group.gradient.copy_(torch.linspace(0, 1e-18, group.gradient.numel()).view_as(group.gradient))
            state.optimizer.step(group, step)
        state.count(3)
        alone = built(planned(SPEC, "device.precision=float32", "optimizer={Adam: {lr: 0.01}}", SEEDS[0]))
        for parameter, member in zip(alone.parts.parameters, runs[0].parts.parameters, strict=True):
            parameter.grad = member.grad
        for _ in range(3):
            alone.parts.optimizer.step()
    assert 0 < float(group.states["exp_avg_sq"].max()) < torch.finfo(torch.float32).tiny
    hold_state(alone.parts.optimizer.state_dict(), runs[0].parts.optimizer.state_dict(), 0)
    hold_state(alone.parts.model.state_dict(), runs[0].parts.model.state_dict(), 0)


@pytest.mark.parametrize("each", ["epoch", "step"])
@pytest.mark.parametrize(
    "scheduler",
    [
        "{StepLR: {step_size: 2, gamma: 0.7}}",
        "{CosineAnnealingLR: {T_max: 20}}",
        "{OneCycleLR: {max_lr: 0.1, total_steps: 600}}",
        "{SequentialLR: {schedulers: [LinearLR, {ExponentialLR: {gamma: 0.9}}], milestones: [3]}}",
    ],
)
def test_schedulers_are_each_run_s_own(scheduler: str, each: str, planned: Planned) -> None:
    """Members of one stack may have different ones."""
    own = [f"train.scheduler_each={each}", "optimizer={Adam: {lr: 0.05}}"]
    other = planned(SPEC, *own, "scheduler={ExponentialLR: {gamma: 0.95}}", "seed=2")
    hold_stack([planned(SPEC, *own, f"scheduler={scheduler}"), other])


@pytest.mark.parametrize(
    "differing",
    [
        ["data.split={folds: 3, fold: 0, seed: 1}", "data.split={folds: 3, fold: 1, seed: 1}"],
        ["data.split={val: 0.3, seed: 1}", "data.split={val: 0.3, seed: 2}"],
        ["train.shuffle=false", "train.shuffle=true"],
        [
            "model={layers: [Linear: 7, Tanh, Linear: 1], init: {'*.weight': {normal_: {std: 0.1}}}}",
            "model=[Linear: 7, Tanh, Linear: 1]",
        ],
        ["model=[Linear: 7, Tanh, Dropout: 0.1, Linear: 1]", "model=[Linear: 7, Tanh, Dropout: 0.6, Linear: 1]"],
    ],
)
@pytest.mark.parametrize("batch", ["all", "7"])
def test_members_may_differ_in_values(differing: list[str], batch: str, planned: Planned) -> None:
    """Folds, splits, orders, initial weights and shares of dropout."""
    own = [f"train.batch_size={batch}", "data.formula.rows=30"]
    hold_stack([planned(SPEC, *own, one) for one in differing])


def loops_of(plans: list[Plan], folder: Path, stop_at: list[int | None]) -> tuple[StackedRuns, dict[Member, Loop]]:
    """A loop for each member, as a run has it."""
    runs = [built(plan) for plan in plans]
    stack = stack_of(runs)
    loops = {}
    for number, (member, run, stop) in enumerate(zip(stack.members, runs, stop_at, strict=True)):
        home = folder / str(number)
        home.mkdir(exist_ok=True)
        loops[member] = Loop(run.plan, run.parts, member, run.schedule, LoopReports(stop_at=stop), home, {})
    return stack, loops


VALIDATED = ["data.split={val: 0.3}", "train.batch_size=8", "train.epochs=12", "optimizer={Adam: {lr: 0.03}}"]


def alone(plan: Plan, folder: Path, gear: dict[str, Any] | None = None) -> Loop:
    """The run by itself."""
    run = built(plan)
    folder.mkdir(exist_ok=True)
    loop = Loop(plan, run.parts, Eager(plan, run.parts, run.schedule), run.schedule, LoopReports(), folder, {})
    if gear is not None:
        loop.load_state(gear)
    loop.run()
    return loop


def test_many_rows_of_narrow_layers(planned: Planned) -> None:
    """Products of them are laid out the other way; what is no chain by hand here, too."""
    own = ("data.formula.rows=300", "train.batch_size=all", "model=[Linear: 20, GELU, Linear: 5, GELU, Linear: 1]")
    hold_stack([planned(SPEC, *own, f"seed={seed}") for seed in (1, 2, 3)])


def hold_loop(one: Loop, other: Loop) -> None:
    assert isinstance(one.reporter, LoopReports)
    assert isinstance(other.reporter, LoopReports)
    hold_state(one.reporter.series, other.reporter.series, 1e-9)
    hold_state(dict(one.parts.model.state_dict()), dict(other.parts.model.state_dict()), 1e-9)
    assert one.memory.best.keys() == other.memory.best.keys()


@pytest.mark.parametrize(
    "model",
    [
        "[Linear: 7, Tanh, Linear: 1]",
        "[{Linear: {out_features: 7, bias: false}}, BatchNorm1d, AlphaDropout, Linear: 1]",
    ],
)
def test_each_member_keeps_a_loop_of_its_own(model: str, planned: Planned, tmp_path: Path) -> None:
    """One stops early, one is shorter, one follows a metric; the stack is laid out anew as they leave."""
    own = [
        ["callbacks=[early_stopping: {monitor: val/loss, patience: 1, min_delta: 10}]"],
        ["train.epochs=5", "callbacks=[checkpoint: {every: 2}]"],
        ["scheduler={ReduceLROnPlateau: {patience: 0, threshold: 0.5}}"],
        ["train.evaluate_every=3", "seed=7"],
    ]
    plans = [planned(SPEC, *VALIDATED, f"model={model}", *one) for one in own]
    with computing("float64", deterministic=False):
        assert len({stack_key(plan) for plan in plans}) == 1
        stack, loops = loops_of(plans, tmp_path, [None] * 4)
        assert stack.together(lambda member: loops[member].run()) == [True] * 4
        for member, plan in zip(stack.members, plans, strict=True):
            hold_loop(loops[member], alone(plan, tmp_path / "alone"))
    assert [member.step for member in stack.members] == [2 * 3, 5 * 3, 12 * 3, 12 * 3]


@pytest.mark.parametrize("optimizer", ["{NAdam: {lr: 0.01}}", "{Adadelta: {lr: 0.1}}"])
@pytest.mark.parametrize("layer", ["Dropout: 0.2", "BatchNorm1d"])
def test_members_leave_in_the_middle_of_an_epoch(layer: str, optimizer: str, planned: Planned) -> None:
    """What has left stays as it was; the others go on in a smaller stack, with their orders, memories and masks."""
    model = f"model=[Linear: 7, Tanh, {layer}, Linear: 1]"
    plans = [planned(SPEC, model, f"optimizer={optimizer}", f"seed={seed}") for seed in range(5)]
    lengths = [0, 5, 11, 13, 21]
    with computing("float64", deterministic=False):
        stack = stack_of([built(plan) for plan in plans])
        steps = dict(zip(stack.members, lengths, strict=True))
        told = stack.together(lambda member: member.advance(steps[member]) if steps[member] else torch.zeros(0))
        for member, losses, plan in zip(stack.members, told, plans, strict=True):
            run = built(plan)
            gear = Eager(plan, run.parts, run.schedule)
            expected = gear.advance(steps[member]) if steps[member] else torch.zeros(0)
            assert isinstance(losses, torch.Tensor)
            assert torch.allclose(losses, expected, rtol=1e-10, atol=0)
            hold_state(gear.state(), member.state(), 1e-9)


def test_a_member_whose_loss_is_not_finite_leaves_the_others_untouched(planned: Planned, tmp_path: Path) -> None:
    """It raises what its own run raises, at the same step."""
    rates = [f"optimizer={{SGD: {{lr: {rate}}}}}" for rate in ("0.01", "1e6", "0.02")]
    plans = [planned(SPEC, *VALIDATED, rate) for rate in rates]
    with computing("float64", deterministic=False):
        stack, loops = loops_of(plans, tmp_path, [None] * 3)
        first, second, third = stack.together(lambda member: loops[member].run())
        with pytest.raises(NonFiniteLoss) as raised:
            alone(plans[1], tmp_path / "alone")
        assert isinstance(second, NonFiniteLoss)
        assert str(second).split(";")[0] == str(raised.value).split(";")[0]
        assert (first, third) == (True, True)
        for place in (0, 2):
            hold_loop(loops[stack.members[place]], alone(plans[place], tmp_path / "alone"))


@pytest.mark.parametrize("name", ["momentum", "Adam", "NAdam", "Adagrad"])
def test_a_stopped_member_goes_on_by_itself_or_in_a_stack(name: str, planned: Planned, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch; the checkpoint is one like any other."""
    own = ["scheduler={StepLR: {step_size: 3}}", "model=[Linear: 7, Tanh, Dropout: 0.2, Linear: 1]"]
    plans = [planned(SPEC, *VALIDATED, *own, f"optimizer={one}", "seed=4") for one in OPTIMIZERS[name]]
    with computing("float64", deterministic=False), pytest.MonkeyPatch.context() as patch:
        patch.setattr("annpipe.train.schedule.MOST_STEPS", 1)
        whole = [alone(plan, tmp_path / "alone") for plan in plans]
        stack, loops = loops_of(plans, tmp_path, [10, 10])
        assert stack.together(lambda member: loops[member].run()) == [False, False]
        kept = [load_checkpoint(tmp_path / str(number), LAST) for number in range(2)]
        for plan, state, expected in zip(plans, kept, whole, strict=True):
            solo = alone(plan, tmp_path / "solo", copy.deepcopy(state))
            hold_state(dict(solo.parts.model.state_dict()), dict(expected.parts.model.state_dict()), 1e-9)
        stack, loops = loops_of(plans, tmp_path, [None, None])
        for loop, state in zip(loops.values(), kept, strict=True):
            loop.load_state(state)
        assert stack.together(lambda member: loops[member].run()) == [True, True]
        for loop, expected in zip(loops.values(), whole, strict=True):
            hold_state(dict(loop.parts.model.state_dict()), dict(expected.parts.model.state_dict()), 1e-9)
            assert loop.gear.step == 36


def test_a_fault_of_the_stack_ends_every_run(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    """None waits for ever."""
    with computing("float64", deterministic=False):
        stack = stack_of([built(planned(SPEC, seed)) for seed in SEEDS])
        monkeypatch.setattr("annpipe.train.gears.stack.StackedState", lambda *_: 1 / 0)
        assert {type(told) for told in stack.together(lambda member: member.advance(3))} == {ZeroDivisionError}


N_SEEDS, LONG = 32, 200


@pytest.mark.slow
def test_final_losses_over_seeds_are_distributed_as_those_of_solo_runs(planned: Planned) -> None:
    """200 steps of 32 seeds in single precision, where rounding has grown: Kolmogorov and Smirnov see no difference,
    and no seed strays by more than a small part of the spread over seeds."""
    own = ["device.precision=float32", "optimizer={Adam: {lr: 0.01}}", "train.epochs=50"]
    first = planned(SPEC, *own)
    plans = [replace(first, head=first.head.model_copy(update={"seed": seed})) for seed in range(N_SEEDS)]
    with computing("float32", deterministic=False):
        stack = stack_of([built(plan) for plan in plans])
        stacked = stack.take(LONG)[-1]
        runs = [built(plan) for plan in plans]
        solo = torch.stack([Eager(run.plan, run.parts, run.schedule).advance(LONG)[-1] for run in runs])
    assert ks_2samp(stacked.numpy(), solo.numpy()).pvalue > 0.99
    assert float((stacked - solo).abs().max()) < 0.05 * float(solo.std())
