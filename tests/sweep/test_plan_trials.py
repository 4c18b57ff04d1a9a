"""The plans of a sweep's trials: those that each would have alone, with the same work done once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annpipe.errors import SpecError
from annpipe.observer import SILENT
from annpipe.plan.shapes import run
from annpipe.runs.launch import complete
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.axes import read_over
from annpipe.sweep.design import design_sweep
from annpipe.sweep.plan_trials import Planner, Trial
from annpipe.sweep.train_trials import stacks
from annpipe.train.gears.stacked import eligibility

SPEC = """
version: 1
name: small
data: {formula: {rows: 20, inputs: {x: {Uniform: [-2, 2]}}, targets: {y: x**2}}}
model: [Linear: 8, ReLU, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.01}}
train: {epochs: 2}
"""


def planned(spec: Path, *over: str) -> list[Trial]:
    """The trials of a sweep."""
    design = design_sweep(SpecSource(spec, over=tuple(map(read_over, over))), SILENT)
    planner = Planner(design.source, design.axes, SILENT)
    planner.check(design.combinations)
    return [planner.trial(number, values) for number, values in enumerate(design.combinations)]


def test_plans_are_those_of_the_trials_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two structures each is run on the meta device once, and tried in a stack once."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    calls = {"run_shapes": 0, "_layers": 0}

    def counted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def call(*given: Any) -> Any:
            calls[name] += 1
            return function(*given)

        monkeypatch.setattr(module, name, call)

    counted(run, "run_shapes")
    counted(eligibility, "_layers")
    trials = planned(spec, "model.1=ReLU,Tanh", "seed=0..2")
    assert [len(group) for group in stacks(trials)] == [3, 3]
    assert calls == {"run_shapes": 3, "_layers": 2}  # and the plan of the spec as it stands
    for trial in trials:
        alone = complete(
            SpecSource(spec, tuple(f"{path}={value}" for path, value in trial.values.items())).draft(), SILENT
        )
        assert trial.plan == replace(alone, plots=())
        assert trial.plan.digest == alone.digest


def test_a_fault_of_a_later_trial_has_its_own_place(tmp_path: Path) -> None:
    """The layers are known from the first trial; the loss that does not fit them is that of the second."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        planned(spec, "loss=MSELoss,CrossEntropyLoss")
    assert all("CrossEntropyLoss" in str(problem.place) or "CrossEntropyLoss" in problem.message
               for problem in caught.value.problems)  # fmt: skip
