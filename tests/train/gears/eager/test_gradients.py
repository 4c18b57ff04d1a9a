"""The gradients of a step, held against torch's own pass over all its rows at once."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annpipe.backend.device import computing
from annpipe.train.divisors import terms_by_divisor
from annpipe.train.gears.eager.gradients import grad_scaler, gradients
from annpipe.train.tally import step_losses
from tests.train.gears.stacks import SPEC, Built, built
from tests.training import Planned

CPU = torch.device("cpu")
ROWS = {"a": [math.sin(1.7 * row) for row in range(29)], "y": [(row * row + row // 3) % 3 for row in range(29)]}
CHAIN = "model=[Linear: 7, Tanh, Linear: 1]"
CLASSES = "model=[Linear: 7, Tanh, Linear: 3]"


def loss_and_gradients(run: Built, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """By torch's own pass, of copies."""
    model, loss = copy.deepcopy(run.parts.model), copy.deepcopy(run.parts.loss)
    value = loss(model(x), y)
    value.backward()
    return value.detach(), [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def computed(
    run: Built, x: torch.Tensor, y: torch.Tensor, scaler: Any = None
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """By the function of the eager gear, where other gradients were left by the step before."""
    for parameter in run.parts.parameters:
        parameter.grad = torch.full_like(parameter, 7.0)
    with computing(run.plan.device.precision, deterministic=False):
        terms = terms_by_divisor(run.plan, run.parts, run.schedule)
        figures = gradients(run.plan, run.parts, CPU, scaler, terms)(x, y)
    loss = step_losses(figures, len(terms or ()))
    assert not loss.requires_grad
    return loss, [parameter.grad for parameter in run.parts.parameters if parameter.grad is not None]


def hold(run: Built, scale: float = 1.0) -> None:
    """The loss and the gradients, times a scale, of all rows."""
    rows = run.parts.rows["train"]
    loss, expected = loss_and_gradients(run, rows.x, rows.y)
    value, found = computed(run, rows.x, rows.y)
    torch.testing.assert_close(value, loss, rtol=1e-12, atol=1e-14)
    for gradient, other in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, other * scale, rtol=1e-12, atol=1e-14)


@pytest.fixture
def run(planned: Planned) -> Any:
    def made(*overrides: str) -> Built:
        with computing("float64", deterministic=False):
            return built(planned(SPEC, *overrides))

    return made


@pytest.mark.parametrize(
    "loss", ["MSELoss", "{L1Loss: {reduction: sum}}", "{weighted_sum: {losses: [MSELoss, L1Loss], weights: [1, 0.5]}}"]
)
@pytest.mark.parametrize("model", [CHAIN, "model=[Linear: 4, residual: {layers: [Linear: 4, GELU]}, Linear: 1]"])
@pytest.mark.parametrize("batch", [[], ["train.batch_size=4", "train.accumulate=8"]], ids=["whole", "in batches"])
def test_they_are_those_of_all_rows_at_once(batch: list[str], model: str, loss: str, run: Any) -> None:
    """Passed by hand or by autograd; 29 rows in batches of 4, of which the last has one row."""
    hold(run(model, f"loss={loss}", *batch))


LABEL_LOSSES = [f"{{CrossEntropyLoss: {options}}}" for options in ("{weight: [1, 5, 0.5]}", "{ignore_index: 1}")]


@pytest.mark.parametrize(
    "loss",
    [
        *LABEL_LOSSES,
        "{CrossEntropyLoss: {reduction: sum, ignore_index: 0}}",
        f"{{weighted_sum: {{losses: [{', '.join(LABEL_LOSSES)}], weights: [1, 0.5]}}}}",
    ],
)
@pytest.mark.parametrize("model", [CLASSES, "model=[Linear: 4, residual: {layers: [Linear: 4, GELU]}, Linear: 3]"])
@pytest.mark.parametrize("batch", [[], ["train.batch_size=4", "train.accumulate=8"]], ids=["whole", "in batches"])
def test_labels_weigh_what_they_weigh_among_all_rows(
    batch: list[str], model: str, loss: str, run: Any, tmp_path: Path
) -> None:
    """A batch counts by the weights of its labels, not by its rows."""
    np.savez(tmp_path / "rows.npz", **{name: np.array(column) for name, column in ROWS.items()})
    data = f"data={{npz: {{file: {tmp_path}/rows.npz, inputs: [a], targets: [y]}}}}"
    hold(run(data, model, f"loss={loss}", *batch))


@pytest.mark.parametrize("batch", [[], ["train.batch_size=4", "train.accumulate=8"]], ids=["whole", "in batches"])
def test_the_norm_is_that_of_the_whole_step(batch: list[str], run: Any) -> None:
    """Clipped once, after all batches; the loss is as without."""
    free = run(CHAIN)
    rows = free.parts.rows["train"]
    _, found = loss_and_gradients(free, rows.x, rows.y)
    norm = torch.cat([gradient.flatten() for gradient in found]).norm().item()
    hold(run(CHAIN, f"train.clip_norm={norm / 4}", *batch), scale=0.25 * norm / (norm + 1e-6))  # as torch divides
    hold(run(CHAIN, f"train.clip_norm={norm * 4}", *batch))


def test_each_number_is_clipped(run: Any) -> None:
    """To the limit in its own direction."""
    clipped = run(CHAIN, "train.clip_value=0.01")
    rows = clipped.parts.rows["train"]
    _, expected = loss_and_gradients(clipped, rows.x, rows.y)
    _, found = computed(clipped, rows.x, rows.y)
    assert max(gradient.abs().max() for gradient in expected) > 0.01
    for gradient, other in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, other.clamp(-0.01, 0.01), rtol=1e-12, atol=1e-14)


def test_a_frozen_parameter_has_none(run: Any) -> None:
    """And the others have theirs."""
    frozen = run("model={layers: [Linear: 7, Tanh, Linear: 1], freeze: [0.weight]}")
    hold(frozen)
    assert next(frozen.parts.model.parameters()).grad is None


def test_a_hook_is_called(run: Any) -> None:
    """One that is put on a layer later, too: the pass by hand calls no module."""
    hooked = run(CHAIN)
    rows, calls = hooked.parts.rows["train"], list[object]()
    compute = gradients(hooked.plan, hooked.parts, CPU, None)
    compute(rows.x, rows.y)
    hooked.parts.model[1].register_forward_hook(lambda *_: calls.append(None))
    compute(rows.x, rows.y)
    assert len(calls) == 1


def test_half_precision_is_torch_s_own(planned: Planned) -> None:
    """The forward pass stands inside `torch.autocast`; gradients are in the precision of the parameters."""
    with computing("float32", deterministic=False):
        run = built(planned(SPEC, CHAIN, "device.precision=float32", "device.autocast=bfloat16"))
    rows = run.parts.rows["train"]
    exact, _ = loss_and_gradients(run, rows.x, rows.y)
    with torch.autocast("cpu", torch.bfloat16):
        loss, expected = loss_and_gradients(run, rows.x, rows.y)
    value, found = computed(run, rows.x, rows.y)
    assert torch.equal(value, loss)
    assert not torch.equal(value, exact)
    assert all(map(torch.equal, found, expected))
    assert {gradient.dtype for gradient in found} == {torch.float32}


@pytest.mark.parametrize("batch", [[], ["train.batch_size=4", "train.accumulate=8"]], ids=["whole", "in batches"])
def test_what_was_scaled_up_is_scaled_down(batch: list[str], run: Any) -> None:
    """A step behind a scaler sees the gradients as they are, and clips those."""
    model = "model=[Linear: 4, residual: {layers: [Linear: 4, GELU]}, Linear: 1]"
    plain, scaled = run(model), run(model, "train.clip_value=0.05", *batch)
    rows, scaler = plain.parts.rows["train"], torch.amp.GradScaler("cpu", init_scale=1024.0)
    loss, expected = loss_and_gradients(plain, rows.x, rows.y)
    value, found = computed(scaled, rows.x, rows.y, scaler)
    torch.testing.assert_close(value, loss, rtol=1e-12, atol=0)
    for gradient, other in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, other.clamp(-0.05, 0.05), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("autocast", "scales"), [("off", False), ("bfloat16", False), ("float16", True)])
def test_float16_alone_needs_a_scaler(autocast: str, scales: bool, planned: Planned) -> None:
    """bfloat16 has the range of single precision."""
    plan = planned(SPEC, "device.precision=float32", f"device.autocast={autocast}")
    assert (grad_scaler(plan, CPU) is not None) == scales
