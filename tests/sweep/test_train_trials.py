"""Trials in groups that are trained together: one structure a stack, no more than memory holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from annpipe.observer import SILENT
from annpipe.runs.spec_source import SpecSource
from annpipe.spec.sections.axes import axis_of, read_over
from annpipe.sweep import train_trials
from annpipe.sweep.plan_trials import Planner, Trial

SPEC = """
version: 1
name: small
data: {table: {inputs: {x: [0, 1]}, targets: {y: [1, 2]}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
device: {type: cpu, threads: 1}
"""


def trials(tmp_path: Path, over: str) -> list[Trial]:
    """The trials of one axis."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    key, node = read_over(over)
    axis = axis_of(str(key.value), node, key.place)
    planner = Planner(SpecSource(spec), [axis], SILENT)
    return [planner.trial(number, {axis.path: value}) for number, value in enumerate(axis.values)]


def test_trials_that_differ_in_values_are_one_stack(tmp_path: Path) -> None:
    """But not one that is finished already."""
    first, *others = trials(tmp_path, "optimizer.SGD.lr=0.1,0.2,0.3")
    groups = train_trials.stacks([replace(first, run=tmp_path), *others])
    assert [[trial.number for trial in group] for group in groups] == [[0], [1, 2]]


def test_trials_of_other_structures_are_apart(tmp_path: Path) -> None:
    """A layer with and without a bias."""
    groups = train_trials.stacks(trials(tmp_path, "model.0.Linear.bias=true,false"))
    assert [len(group) for group in groups] == [1, 1]
