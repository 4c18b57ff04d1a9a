"""What a model costs: held against torch's counter on real tensors, closed forms, and optimizers that have stepped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from annpipe.backend.device import computing
from annpipe.draft.draft import draft
from annpipe.plan.cost import batch_rows, memory, multiply_adds
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.parts import build, build_model
from annpipe.train.schedule import schedule

COLUMNS = "data: {table: {inputs: {a: [0, 1, 2, 3], b: [1, 0, 2, 5]}, targets: {y: [1, 3, 2, 0]}}}\n"
TENSORS = "data: {npz: {file: ./data.npz, inputs: [KIND], targets: [y]}}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    np.savez(
        tmp_path / "data.npz",
        image=np.zeros((4, 3, 9, 9), np.float32),
        sequence=np.zeros((4, 6, 8), np.float32),
        y=np.zeros(4, np.float32),
    )

    def plan(kind: str, model: str, optimizer: str = "SGD", train: str = "{epochs: 1}", more: str = "") -> Plan:
        data = COLUMNS if kind == "table" else TENSORS.replace("KIND", kind)
        text = (
            f"version: 1\nname: t\n{data}{more}model: {model}\nloss: MSELoss\noptimizer: {optimizer}\ntrain: {train}\n"
        )
        (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
        return resolve(draft(load_spec(tmp_path / "s.yaml"), Registry.installed()))

    return plan


MODELS = [
    ("table", "[Linear: 100, ReLU, Linear: 1]"),
    ("table", "[residual: [Linear: 7, Tanh], repeat: {times: 3, layers: [Linear: 4, ReLU]}, Linear: 1]"),
    ("table", "[parallel: [[Linear: 3], [Linear: 5, ReLU]], Linear: 1]"),
    ("image", "[Conv2d: [4, 3, 2, 1], BatchNorm2d, ReLU, residual: [Conv2d: [6, 3, 1, 1]], Flatten, Linear: 1]"),
    ("image", "[Conv2d: {out_channels: 6, kernel_size: 3, groups: 3}, ConvTranspose2d: [2, 2], Flatten, Linear: 1]"),
    ("sequence", "[TransformerEncoderLayer: {nhead: 2, dim_feedforward: 12}, Flatten, Linear: 1]"),
]


@pytest.mark.parametrize(("kind", "model"), MODELS)
def test_multiply_adds_are_half_of_torchs_count_on_real_rows(kind: str, model: str, plan: Any) -> None:
    """Of the whole model on five rows; of containers as of the layers inside."""
    made = plan(kind, model)
    network = build_model(made).train()  # torch's fast path of encoders in evaluation is one kernel that is not counted
    x = torch.randn(5, *made.model[0].input_shape)
    with FlopCounterMode(display=False) as counter:
        network(x)
    counts = [multiply_adds(layer) for layer in made.model]
    assert None not in counts
    assert 2 * 5 * sum(counts) == counter.get_total_flops()  # type: ignore[arg-type]  # none is None


def test_multiply_adds_of_known_layers(plan: Any) -> None:
    """in × out; channels × kernel × places; of an LSTM four gates at each step; none where nothing is multiplied."""
    linear, relu, _ = plan("table", "[Linear: 100, ReLU, Linear: 1]").model
    assert (multiply_adds(linear), multiply_adds(relu)) == (2 * 100, 0)
    convolution = plan("image", "[Conv2d: [4, 3], Flatten, Linear: 1]").model[0]
    assert multiply_adds(convolution) == 4 * 3 * 3 * 3 * 7 * 7
    lstm = plan("sequence", "[LSTM: 5, Flatten, Linear: 1]").model[0]
    assert multiply_adds(lstm) == 6 * 4 * 5 * (8 + 5)


@pytest.mark.parametrize(
    "optimizer",
    [
        "SGD",
        "{SGD: {momentum: 0.9}}",
        "Adam",
        "{Adam: {amsgrad: true}}",
        "AdamW",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "NAdam",
    ],
)
def test_an_optimizer_keeps_what_is_told_of_it(optimizer: str, plan: Any) -> None:
    """The tensors of its state after a real step, counts of steps left out; frozen parameters have none."""
    made = plan("table", "{layers: [Linear: 9, ReLU, Linear: 1], freeze: [0.weight]}", optimizer)
    with computing("float32", deterministic=False) as dtype:
        parts = build(made, torch.device("cpu"), dtype)
        Eager(made, parts, schedule(made, 4)).advance(1)
    kept = [value for state in parts.optimizer.state.values() for value in state.values()]
    tensors = [value for value in kept if isinstance(value, torch.Tensor) and value.ndim]
    needed = memory(made)
    assert needed.optimizer == sum(tensor.numel() * 4 for tensor in tensors)
    assert needed.parameters == 4 * (18 + 9 + 9 + 1)
    assert needed.gradients == 4 * (9 + 9 + 1)


def test_an_optimizer_that_looks_at_values_is_not_told_of(plan: Any) -> None:
    """LBFGS evaluates the loss within its step."""
    assert memory(plan("table", "[Linear: 1]", "LBFGS")).optimizer is None


def test_activations_are_what_every_layer_gives_for_a_batch(plan: Any) -> None:
    """Input included; what a block or a repetition passes on is counted once."""
    made = plan(
        "table",
        "[hidden, residual: [Linear: 6, Tanh], repeat: {times: 2, layers: [Linear: 3]}, Linear: 1]",
        train="{epochs: 1, batch_size: 3}",
        more="blocks: {hidden: [Linear: 5, ReLU]}\n",
    )
    numbers = 2 + 5 + 5 + (6 + 6 + 6) + (3 + 3) + 1
    assert memory(made).activations == 3 * numbers * 4
    assert memory(made).rows == 3


def test_a_batch_is_no_larger_than_the_rows_that_are_trained_on(plan: Any) -> None:
    """All rows, less those held out."""
    assert batch_rows(plan("table", "[Linear: 1]")) == 4
    assert batch_rows(plan("table", "[Linear: 1]", train="{epochs: 1, batch_size: 100}")) == 4


def test_the_plan_shows_it(plan: Any) -> None:
    """In one line each."""
    from annpipe.cli.views.plan import show_plan

    text = show_plan(plan("table", "[Linear: 100, ReLU, Linear: 1]", "Adam"))
    assert "compute    300 multiply-adds a row forwards" in text
    assert "memory     parameters 1.6 KiB, gradients 1.6 KiB, Adam 3.1 KiB, activations 3.2 KiB for 4 rows" in text
    assert math.isclose(401 * 4 / 1024, 1.6, abs_tol=0.05)
