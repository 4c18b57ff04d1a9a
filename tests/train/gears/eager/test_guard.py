"""Gradients that are not finite: seen before the weights change, and what `train.non_finite` does then."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from annpipe.backend.device import computing
from annpipe.errors import NonFinite, SpecError
from annpipe.testing.components.training import LoopReports
from annpipe.train.gears.eager import guard
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.stack import StackedRuns
from annpipe.train.loop.checkpoint import load_checkpoint
from annpipe.train.loop.loop import Loop
from annpipe.train.parts import build
from annpipe.train.schedule import schedule
from tests.conftest import unrecorded

# A loss that is finite and whose gradient is nan where a target is 9: where(…) of two branches, one of them infinite.
TRAP = '''
import torch
from annpipe import loss

@loss
class Trap(torch.nn.Module):
    """The mean squared error, with a gradient that is nan in batches with a target of 9."""
    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        error = (prediction - target).square().mean()
        zero = (prediction * 0).sum()
        return error + (zero.abs().sqrt() if bool((target == 9).any()) else zero)
'''
SPEC = """
version: 1
name: trap
plugins: [./trap.py]
data: {table: {inputs: {x: [0, 1, 2, 3, 4, 5]}, targets: {y: [1, 2, 9, 4, 5, 6]}}}
model: [Linear: 4, Tanh, Linear: 1]
loss: Trap
optimizer: {SGD: {lr: 0.05, momentum: 0.5}}
device: {type: cpu, threads: 1, compile: "off"}
train: {epochs: 4, batch_size: 1, shuffle: false}
"""
OPTIMIZERS = {
    "SGD": "{SGD: {lr: 0.05, momentum: 0.9}}",
    "Adam": "{Adam: {lr: 0.05}}",
    "Adagrad": "{Adagrad: {lr: 0.05}}",
    "LBFGS": "{LBFGS: {lr: 0.05}}",
}


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("clip", ["null", "0.5"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_with_such_gradients_is_not_taken(name: str, clip: str, precision: str, fit: Any) -> None:
    """The weights and the optimizer's memories are those of a run that ends before it."""
    how = [f"optimizer={OPTIMIZERS[name]}", f"train.clip_norm={clip}", f"device.precision={precision}"]
    if name == "LBFGS":
        how[1] = "train.clip_norm=null"
    before = fit(SPEC, *how, "train.steps=2", "train.epochs=null", trap=TRAP)
    kept: dict[str, Any] = {}

    def look(loop: Any) -> None:
        kept["state"] = loop.gear.state()

    with pytest.raises(NonFinite, match="the gradients are not finite at step 3"):
        fit_and_look(fit, look, SPEC, *how, trap=TRAP)
    expected = before.loop.gear.state()
    assert kept["state"]["step"] == 2
    for key, tensor in expected["model"].items():
        assert torch.equal(tensor, kept["state"]["model"][key])
    assert str(expected["optimizer"]["state"]) == str(kept["state"]["optimizer"]["state"])


def fit_and_look(fit: Any, look: Callable[[Any], None], *arguments: str, **files: str) -> Any:
    """Trains, and shows the loop that failed."""
    run = Loop.run

    def watched(loop: Any) -> bool:
        try:
            return run(loop)
        finally:
            look(loop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "run", watched)
        return fit(*arguments, **files)


def test_skipped_steps_are_counted_and_the_others_train(fit: Any) -> None:
    """One in six: the run equals plain torch without that row, epoch for epoch; its loss is in no mean."""
    run = fit(SPEC, "train.non_finite=skip", trap=TRAP)
    assert run.loop.gear.guard.n_skipped == 4
    assert run.loop.gear.step == 24
    assert run.loop.memory.latest["train/skipped"] == 4
    assert run.told.messages == ["warning: step 3 is left out: its gradients are not finite"]
    fewer = "data: {table: {inputs: {x: [0, 1, 3, 4, 5]}, targets: {y: [1, 2, 4, 5, 6]}}}"
    plain = fit(SPEC.replace(next(line for line in SPEC.splitlines() if line.startswith("data")), fewer), trap=TRAP)
    for own, other in zip(run.parameters, plain.parameters, strict=True):
        assert torch.equal(own, other)
    assert run.losses == pytest.approx(plain.losses, rel=1e-6)


def test_steps_are_not_skipped_for_ever(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every step is such a one the run ends, and says so."""
    monkeypatch.setattr(guard, "MOST_IN_A_ROW", 3)
    with pytest.raises(NonFinite, match="the gradients of 4 steps in a row are not finite at step 4"):
        fit(SPEC, "train.non_finite=skip", "train.batch_size=all", trap=TRAP)


def test_a_rollback_halves_the_rate_and_goes_on(fit: Any) -> None:
    """A rate at which it diverges: the parameters of the lowest loss come back until it holds; the run ends well."""
    text = SPEC.replace("plugins: [./trap.py]\n", "").replace("Trap", "MSELoss").replace("9", "3")
    how = ["train={epochs: 400}", "optimizer={SGD: {lr: 0.4}}", "model=[Linear: 1]"]
    with pytest.raises(NonFinite, match="lower the learning rate"):
        fit(text, *how)
    run = fit(text, *how, "train.non_finite=rollback")
    assert 1 <= run.loop.gear.guard.n_rollbacks <= 5
    assert run.losses[-1] < 1
    assert "back to the parameters of loss" in run.told.messages[0]
    assert run.parts.optimizer.param_groups[0]["lr"] == 0.4 * 0.5**run.loop.gear.guard.n_rollbacks


@pytest.mark.parametrize("scheduler", ["{LambdaLR: 0.999 ** epoch}", "{OneCycleLR: 4}", "CosineAnnealingLR"])
def test_a_schedule_goes_on_at_the_lower_rate(scheduler: str, fit: Any) -> None:
    text = SPEC.replace("plugins: [./trap.py]\n", "").replace("Trap", "MSELoss").replace("9", "3")
    how = ["train={epochs: 600}", "optimizer={SGD: {lr: 0.4, momentum: 0.1}}", "model=[Linear: 1]"]
    run = fit(text, *how, f"scheduler={scheduler}", "train.non_finite=rollback")
    assert run.loop.gear.guard.n_rollbacks >= 1
    assert all(loss < 1e30 for loss in run.losses[-100:])


def test_rollbacks_are_bounded(fit: Any) -> None:
    """Where the data bring it about each time, the run ends."""
    text = SPEC.replace("batch_size: 1", "batch_size: 2")
    with pytest.raises(NonFinite, match="the gradients are not finite, after 5 rollbacks at step"):
        fit(text, "train.non_finite=rollback", "train.epochs=40", trap=TRAP)


@pytest.mark.parametrize("how", ["skip", "rollback"])
def test_a_run_that_left_steps_out_goes_on_exactly(how: str, fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted behind such a step, and resumed."""
    monkeypatch.setattr(guard, "MOST_ROLLBACKS", 99)
    options = [f"train.non_finite={how}", "optimizer={Adam: {lr: 0.05}}", "scheduler=PolynomialLR"]
    whole = fit(SPEC, *options, trap=TRAP)
    monkeypatch.setattr("annpipe.train.schedule.MOST_STEPS", 1)
    fit(SPEC, *options, stop_at=11, trap=TRAP)
    again = fit(SPEC, *options, resume=True, trap=TRAP)
    for own, other in zip(whole.parameters, again.parameters, strict=True):
        assert torch.equal(own, other)
    assert again.loop.gear.guard.n_skipped == whole.loop.gear.guard.n_skipped == 4


TOKENS = """
import torch
from annpipe import Dataset, data

@data
def tokens() -> Dataset:
    return Dataset({"x": torch.arange(6)[:, None]}, {"y": torch.tensor([1.0, 2, 9, 4, 5, 6])})
"""


def test_sparse_gradients_are_looked_at_too(fit: Any) -> None:
    text = re.sub("data: .*", "data: tokens", SPEC).replace("momentum: 0.5", "fused: false")
    layers = "[Embedding: {num_embeddings: 6, embedding_dim: 4, sparse: true}, Flatten, Linear: 1]"
    with pytest.raises(NonFinite, match="the gradients are not finite at step 3"):
        fit(text, f"model={layers}", trap=TRAP + TOKENS)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer=LBFGS", "LBFGS evaluates the model several times a step"),
        ("device.autocast=float16", "float16 leaves out steps"),
    ],
)
def test_what_cannot_leave_out_a_step_says_so(override: str, words: str, planned: Any) -> None:
    with pytest.raises(SpecError, match=words):
        planned(SPEC, "train.non_finite=skip", override, trap=TRAP)


def test_an_option_that_was_not_there_changes_no_digest(planned: Any) -> None:
    """Runs of before go on: `stop` is what they did."""
    plan = planned(SPEC, trap=TRAP)
    assert plan.to_data()["train"]["non_finite"] == "stop"
    assert plan.digest == planned(SPEC, "train.non_finite=stop", trap=TRAP).digest
    assert plan.digest != planned(SPEC, "train.non_finite=skip", trap=TRAP).digest


def test_the_command_line_says_what_to_do(annpipe_here: Callable[..., Any], tmp_path: Path) -> None:
    """A diverging run: exit code 1, the remedies, and no offer to resume; a rollback ends it well."""
    text = SPEC.replace("plugins: [./trap.py]\n", "").replace("Trap", "MSELoss").replace("9", "3")
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    how = ["--set", "train={epochs: 400}", "--set", "optimizer={SGD: {lr: 0.4}}", "--set", "model=[Linear: 1]"]
    with unrecorded():
        code, out, said = annpipe_here("run", "spec.yaml", *how)
        assert code == 1
        assert "lower the learning rate (`annpipe lr` suggests one) or clip the gradients" in said
        assert "annpipe resume" not in out
        assert "annpipe lr spec.yaml" in out
        assert "--set train.clip_norm=1" in out
        assert "--set train.non_finite=rollback" in out
        run = next((tmp_path / "runs").iterdir())
        assert all(bool(one.isfinite().all()) for one in load_checkpoint(run, "last")["gear"]["model"].values())
        code, out, _ = annpipe_here("run", "spec.yaml", *how, "--set", "train.non_finite=rollback", "--json")
        assert code == 0
        assert json.loads(out)["values"]["train/loss"] < 1
        tried = [
            "--set",
            "optimizer.SGD.lr=1e9",
            "--set",
            "train.non_finite=rollback",
            "--set",
            "train.clip_value=1e30",
        ]
        code, out, _ = annpipe_here("run", "spec.yaml", *how, *tried)
    assert code == 1
    assert "annpipe lr spec.yaml" in out
    assert "clip_norm" not in out  # what was tried is not offered
    assert "rollback" not in out


@pytest.mark.parametrize("optimizer", ["SGD: {lr: 0.05, momentum: 0.9}", "Adam: {lr: 0.05}", "Adamax: {lr: 0.05}"])
def test_a_member_of_a_stack_ends_as_its_own_run(optimizer: str, planned: Any, tmp_path: Path) -> None:
    """At the same step, with the weights of before it; the others train on, as they would by themselves."""
    texts = [
        SPEC.replace("9", target).replace("SGD: {lr: 0.05, momentum: 0.5}", optimizer) for target in ("3", "9", "3")
    ]
    plans = [planned(text, f"seed={number}", trap=TRAP) for number, text in enumerate(texts)]
    with computing("float32", deterministic=False) as dtype:
        made = [build(plan, torch.device("cpu"), dtype) for plan in plans]
        steps = [schedule(plan, 6) for plan in plans]
        stack = StackedRuns(plans, made, steps)
        members = dict(zip(stack.members, zip(plans, made, steps, strict=True), strict=True))
        loops = {}
        for number, (member, (plan, parts, own)) in enumerate(members.items()):
            (tmp_path / str(number)).mkdir()
            loops[member] = Loop(plan, parts, member, own, LoopReports(), tmp_path / str(number), {})
        first, second, third = stack.together(lambda member: loops[member].run())
        assert (first, third) == (True, True)
        assert isinstance(second, NonFinite)
        assert "the gradients are not finite at step 3" in str(second)
        alone = Eager(plans[1], build(plans[1], torch.device("cpu"), dtype), steps[1])
        alone.advance(24)
        assert (alone.step, alone.guard.broken) == (2, "the gradients are not finite")
        for own, other in zip(made[1].parameters, alone.parts.parameters, strict=True):
            torch.testing.assert_close(own, other)
        for place in (0, 2):
            alone = Eager(plans[place], build(plans[place], torch.device("cpu"), dtype), steps[place])
            alone.advance(24)
            for own, other in zip(made[place].parameters, alone.parts.parameters, strict=True):
                torch.testing.assert_close(own, other)
