"""Trains runs as one stack and each alone, and names the first step and parameter at which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from annpipe.backend.device import computing, find_device
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import RunError
from annpipe.observer import SILENT
from annpipe.plan.plan import Plan
from annpipe.runs.launch import complete
from annpipe.runs.spec_source import SpecSource
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.stack import Member, StackedRuns
from annpipe.train.gears.stacked.eligibility import stack_key, why_solo
from annpipe.train.parts import Parts, build, named_parameters
from annpipe.train.schedule import Schedule, schedule

if TYPE_CHECKING:
    from annpipe.registry.registry import Registry

TOLERANCES = {"float32": 1e-5, "float64": 1e-10}
"""How far numbers may be apart, relative to their size or to 1, by the precision of the runs."""
LOSS = "loss"


@dataclass(frozen=True)
class Difference:
    """Where a member of a stack differs from its solo run.

    `member` is its number, from 0, `step` the number of the step, from 1, after which it shows; `name` is the
    parameter's, or `loss` for the loss of that step. `largest` is the largest difference among its numbers, relative
    to them where they are larger than 1.
    """

    member: int
    step: int
    name: str
    largest: float

    def __str__(self) -> str:
        what = "the loss" if self.name == LOSS else f"the parameter '{self.name}'"
        return f"member {self.member} differs from its solo run at step {self.step} in {what}, by {self.largest:.3g}"


@dataclass(frozen=True)
class SoloComparison:
    """How far the members of a stack are from their solo runs.

    `first` is the earliest difference beyond the `tolerance`, None where there is none; of several at one step that of
    the lowest member, its loss before its parameters, these in the order of the model. `largest` is the largest
    difference of all, within the tolerance or not.
    """

    n_members: int
    n_steps: int
    tolerance: float
    first: Difference | None
    largest: Difference

    @property
    def is_equal(self) -> bool:
        """Whether all members are their solo runs, within the tolerance."""
        return self.first is None

    def check(self) -> None:
        """Raises AssertionError, with the first difference and the largest one, where there is one."""
        if self.first is not None:
            message = f"{self.first}; allowed is {self.tolerance:.3g}"
            raise AssertionError(f"{message}; the largest difference: {self.largest}")


def compare_with_solo(
    spec: str | Path | Sequence[str | Path] | Sequence[Plan],
    n_steps: int,
    *,
    tolerance: float | None = None,
    registry: Registry | None = None,
) -> SoloComparison:
    """Trains the members of a stacked spec together and each alone, step by step, and compares losses and parameters.

    `spec` is a spec with a `sweep`, of which each trial is a member, or a list of specs or plans, a member each. A
    component of your own that steps or runs for many models at once is thus held against its run by itself::

        compare_with_solo("sweep.yaml", n_steps=20).check()

    `tolerance` is how far numbers may be apart, relative to them where they are larger than 1; left out, 1e-5 in single
    and 1e-10 in double precision. `registry` is one with components of your own, for a list of specs. Parameters are
    kept for each step meanwhile. Raises SpecError for a spec that is wrong, and RunError for runs that are not trained
    as one, with the reason.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, however: {n_steps}")
    with torch_defaults(threads=1):
        plans = _plans(spec, registry)
        if not plans:
            raise RunError("there is no run to compare: give a spec with a sweep, or a list of specs")
        device, precision = plans[0].device, plans[0].device.precision
        with computing(precision, deterministic=device.deterministic) as dtype:
            torch_device = find_device(device.type)
            runs = [_Run.of(plan, build(plan, torch_device, dtype)) for plan in plans]
            _check_stackable(runs)
            together = _stacked_steps(runs, n_steps)
            alone = (_solo_steps(_Run.of(plan, build(plan, torch_device, dtype)), n_steps) for plan in plans)
            allowed = TOLERANCES[precision] if tolerance is None else tolerance
            differences = [
                difference
                for member, pair in enumerate(zip(together, alone, strict=True))
                for difference in _differences(member, *pair)
            ]
    return _comparison(differences, len(plans), n_steps, allowed)


@dataclass(frozen=True)
class _Run:
    plan: Plan
    parts: Parts
    schedule: Schedule

    @classmethod
    def of(cls, plan: Plan, parts: Parts) -> _Run:
        return cls(plan, parts, schedule(plan, len(parts.rows["train"])))

    def step_of(self, gear: Eager | Member) -> dict[str, torch.Tensor]:
        """One step: its loss, (), and each parameter after it, by name."""
        loss = gear.advance(1).detach().clone()
        parameters = named_parameters(self.parts.model, self.parts.loss)
        return {LOSS: loss, **{name: parameter.detach().clone() for name, parameter in parameters.items()}}


StepTensors = list[dict[str, torch.Tensor]]
"""The loss and the parameters of each step."""


def _plans(spec: str | Path | Sequence[str | Path] | Sequence[Plan], registry: Registry | None) -> list[Plan]:
    if isinstance(spec, str | Path):
        return _trials(Path(spec))
    return [member if isinstance(member, Plan) else _planned(Path(member), registry) for member in spec]


def _planned(spec: Path, registry: Registry | None) -> Plan:
    return complete(SpecSource(spec).draft(registry), SILENT)


def _trials(spec: Path) -> list[Plan]:
    """The plan of each trial of a spec's sweep."""
    from annpipe.sweep.design import design_sweep
    from annpipe.sweep.plan_trials import Planner

    design = design_sweep(SpecSource(spec), SILENT)
    planner = Planner(design.source, design.axes, SILENT)
    return [planner.trial(number, values).plan for number, values in enumerate(design.every_kind)]


def _check_stackable(runs: Sequence[_Run]) -> None:
    """Raises RunError for runs that are not trained as one."""
    first = stack_key(runs[0].plan, runs[0].parts)
    for number, run in enumerate(runs):
        if (reason := why_solo(run.plan, run.parts)) is not None:
            raise RunError(f"member {number} is never trained together with others: {reason}")
        if stack_key(run.plan, run.parts) != first:
            raise RunError(f"members 0 and {number} are not trained together: they differ in more than values")


def _stacked_steps(runs: Sequence[_Run], n_steps: int) -> list[StepTensors]:
    """The steps of each member, taken together."""
    stack = StackedRuns([run.plan for run in runs], [run.parts for run in runs], [run.schedule for run in runs])
    of_member = dict(zip(stack.members, runs, strict=True))

    def train(member: Member) -> StepTensors:
        return [of_member[member].step_of(member) for _ in range(n_steps)]

    results = []
    for result in stack.together(train):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


def _solo_steps(run: _Run, n_steps: int) -> StepTensors:
    gear = Eager(run.plan, run.parts, run.schedule)
    return [run.step_of(gear) for _ in range(n_steps)]


def _differences(member: int, together: StepTensors, alone: StepTensors) -> list[Difference]:
    """How far each number is from its own in the solo run, by step and name."""
    return [
        Difference(member, step, name, _largest(tensors[name], solo[name]))
        for step, (tensors, solo) in enumerate(zip(together, alone, strict=True), start=1)
        for name in solo
    ]


def _largest(tensor: torch.Tensor, solo: torch.Tensor) -> float:
    """The largest difference, relative to numbers that are larger than 1; infinite where only one is not finite."""
    tensor, solo = tensor.double().cpu(), solo.double().cpu()
    apart = (tensor - solo).abs() / solo.abs().clamp(min=1.0)
    apart[torch.isnan(tensor) & torch.isnan(solo) | (tensor == solo)] = 0.0
    return float(apart.nan_to_num(nan=torch.inf, posinf=torch.inf).max()) if apart.numel() else 0.0


def _comparison(differences: Sequence[Difference], n_members: int, n_steps: int, tolerance: float) -> SoloComparison:
    beyond = [difference for difference in differences if difference.largest > tolerance]
    first = min(beyond, key=lambda difference: difference.step, default=None)  # of equals the first that was noted
    largest = max(differences, key=lambda difference: difference.largest)
    return SoloComparison(n_members, n_steps, tolerance, first, largest)
