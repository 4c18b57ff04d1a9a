"""`compare_with_solo` names where a stacked run leaves its solo run, and finds nothing where it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import annpipe
from annpipe.errors import NotFound, RunError
from annpipe.registry.registry import Registry
from annpipe.testing import compare_with_solo
from annpipe.train.gears.stacked import optimizers
from annpipe.train.gears.stacked.optimizers import StackedGroup, StackedOptimizer

SPEC = """
version: 1
name: together
seed: 1
device: {type: cpu, threads: 1, precision: float64}
data:
  formula:
    rows: 21
    inputs: {a: {Uniform: [-1, 1]}}
    targets: {y: a*a}
model: [Linear: 4, Tanh, Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 20, batch_size: 8}
"""
SWEEP = "sweep: {over: {seed: [1, 2], optimizer.SGD.lr: [0.1, 0.01]}}\n"
N_STEPS = 7
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def spec_file(folder: Path, text: str = SPEC + SWEEP, name: str = "spec.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def late_sgd(group: StackedGroup, step: int) -> None:
    """Gradient descent that from the third step on goes too far in the last number of the second member."""
    group.values.addcmul_(group.gradient, group.options["lr"], value=-1)
    if step >= 3:
        group.values[1, -1] += 0.25


def test_the_trials_of_a_sweep_are_their_solo_runs(tmp_path: Path) -> None:
    """Every trial of a grid is a member."""
    comparison = compare_with_solo(spec_file(tmp_path), N_STEPS)
    assert (comparison.n_members, comparison.n_steps, comparison.first) == (4, N_STEPS, None)
    assert 0 <= comparison.largest.largest < 1e-12
    assert comparison.is_equal
    comparison.check()


def test_a_list_of_specs(tmp_path: Path, registry_entries: Registry) -> None:
    """Each spec is a member; they differ in values alone."""
    texts = [SPEC, SPEC.replace("seed: 1", "seed: 5").replace("lr: 0.1", "lr: 0.02")]
    specs = [spec_file(tmp_path, text, f"{number}.yaml") for number, text in enumerate(texts)]
    compare_with_solo(specs, N_STEPS, registry=registry_entries).check()


def test_the_first_step_and_parameter_that_differ_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stacked step that is wrong from the third step on; the loss shows it one step later than the parameter."""
    wrong = StackedOptimizer(late_sgd, ("lr", "momentum", "dampening", "weight_decay"), ("momentum", "maximize"))
    monkeypatch.setitem(optimizers.STACKED_OPTIMIZERS, torch.optim.SGD, wrong)  # type: ignore[arg-type]  # a dict
    comparison = compare_with_solo(spec_file(tmp_path), N_STEPS)
    assert comparison.first is not None
    assert (comparison.first.member, comparison.first.step, comparison.first.name) == (1, 3, "2.bias")
    assert comparison.first.largest == pytest.approx(0.25)
    assert comparison.largest.largest >= comparison.first.largest
    with pytest.raises(
        AssertionError, match=r"member 1 differs from its solo run at step 3 in the parameter '2\.bias'"
    ):
        comparison.check()
    assert compare_with_solo(spec_file(tmp_path), 2).is_equal
    assert compare_with_solo(spec_file(tmp_path), N_STEPS, tolerance=1e3).is_equal


def test_an_optimizer_of_a_plugin(tmp_path: Path) -> None:
    """The Lion of plugins/README.md: its stacked step is its own, at every step."""
    guide = (Path(__file__).parents[3] / "plugins" / "README.md").read_text(encoding="utf-8")
    (tmp_path / "lion.py").write_text(next(block for block in BLOCK.findall(guide) if "class Lion" in block))
    text = SPEC.replace("{SGD: {lr: 0.1}}", "{Lion: {lr: 0.01}}") + "plugins: [./lion.py]\n"
    comparison = compare_with_solo(spec_file(tmp_path, text + SWEEP.replace("SGD", "Lion")), N_STEPS)
    assert comparison.n_members == 4
    comparison.check()


def test_the_old_names_of_stacked_optimizers() -> None:
    """`Stepping` takes `numbers`, and is a `StackedOptimizer`; `Slab` is a `StackedGroup`."""
    old = annpipe.Stepping(late_sgd, numbers=("lr",), states={"exp_avg": None}, counts=True)
    new = StackedOptimizer(late_sgd, ("lr",), states={"exp_avg": None}, counts=True)
    assert isinstance(old, StackedOptimizer)
    assert vars(old) == vars(new)
    assert annpipe.Slab is annpipe.StackedGroup


def test_runs_that_are_not_trained_together(tmp_path: Path) -> None:
    """With the reason; a spec without a sweep names no members."""
    other = spec_file(tmp_path, SPEC.replace("Linear: 4", "Linear: 5"), "other.yaml")
    with pytest.raises(RunError, match="members 0 and 1 are not trained together: they differ in more than values"):
        compare_with_solo([spec_file(tmp_path, SPEC), other], N_STEPS)
    alone = spec_file(tmp_path, SPEC.replace("{epochs: 20", "{non_finite: skip, epochs: 20"), "alone.yaml")
    with pytest.raises(RunError, match=r"member 0 is never trained together with others: train\.non_finite: skip"):
        compare_with_solo([alone], N_STEPS)
    with pytest.raises(NotFound):
        compare_with_solo(spec_file(tmp_path, SPEC), N_STEPS)
    with pytest.raises(RunError, match="there is no run to compare"):
        compare_with_solo([], N_STEPS)
    with pytest.raises(ValueError, match="n_steps must be at least 1, however: 0"):
        compare_with_solo(spec_file(tmp_path), 0)
