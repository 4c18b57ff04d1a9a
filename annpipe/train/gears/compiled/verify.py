"""Compiles or captures steps, tries them on copies against the eager gear, and times them, before a run takes them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.backend.device import clock
from annpipe.plan.plan import Plan
from annpipe.train.gears.compiled.kinds import KINDS, GearKind
from annpipe.train.gears.compiled.steps import CallSteps, StepInputs, StepState, state_of
from annpipe.train.gears.compiled.worth import CompileRecord
from annpipe.train.gears.eager.gear import Eager, beside_the_steps
from annpipe.train.gears.stacked.eligibility import why_solo
from annpipe.train.gears.stacked.optimizers import STACKED_OPTIMIZERS, hyperparameters
from annpipe.train.gears.stacked.slots import ParameterSlice, layer_modes
from annpipe.train.gears.stacked.state import StackedState
from annpipe.train.parts import Parts, named_parameters, trial_copy
from annpipe.train.schedule import Schedule
from annpipe.train.tally import step_losses

CHECKED_STEPS = 3  # at least
LOSS_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
TOLERANT_AFTER = 8  # steps: from there on it grows with them
MOVE_TOLERANCE = {torch.float32: 1e-2, torch.float64: 1e-6}  # of how far the parameters went
ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-14}  # of the parameters themselves
TIMED_ROUNDS = 5
TIMED_STEPS = 8  # of the eager gear, a round, at most
NEEDED_GAIN = 1.05


class NotCompiled(Exception):
    """Why the step is not compiled, in a few words."""


@dataclass(frozen=True)
class Compiled:
    """Compiled or captured steps, the threads they are for, and what was measured."""

    steps: CallSteps
    threads: int
    known: CompileRecord


def why_not_compiled(plan: Plan, parts: Parts) -> str | None:
    """Why the step of a run cannot be compiled, in a few words; None where it can, as far as is known beforehand."""
    if parts.rows["train"].device.type not in KINDS:
        return "a device other than the CPU and CUDA"
    if any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in parts.model.modules()):
        return "Dropout, whose masks are drawn between the layers"
    return why_solo(plan, parts) or beside_the_steps(plan) or _unmapped(plan, parts)


def _unmapped(plan: Plan, parts: Parts) -> str | None:
    """An optimizer whose formula torch's compiler has not been shown, or a layer that no function of tensors is."""
    if type(parts.optimizer) not in STACKED_OPTIMIZERS:
        return f"the optimizer {plan.optimizer.name}"
    modes = zip(plan.model, layer_modes(plan, parts), strict=False)
    return next((f"the layer {layer.component.name}, {mode.reason}" for layer, mode in modes if mode.reason), None)


def option_table(optimizers: Sequence[torch.optim.Optimizer], names: Sequence[str]) -> list[torch.Tensor]:
    """The present options of the members' optimizers -> for each group, (options, members), in double precision."""
    tables = []
    for groups in zip(*(optimizer.param_groups for optimizer in optimizers), strict=True):
        members = [hyperparameters(group) for group in groups]
        tables.append(torch.tensor([[options[name] for options in members] for name in names], dtype=torch.float64))
    return tables


@dataclass(frozen=True)
class Candidate:
    """What is to be compiled: members that stand at one step and have stepped before, with their eager gears.

    `batch_at` gives x and y, (members, rows, …), of a batch of the epoch by its index, strided as in the run's steps.
    """

    plans: Sequence[Plan]
    parts: Sequence[Parts]
    solos: Sequence[Eager]
    schedule: Schedule
    steps_per_call: int
    batch_at: Callable[[int], tuple[torch.Tensor, torch.Tensor]]

    def trials(self) -> list[Eager]:
        """Eager gears over copies of all that the members have."""
        trials = []
        for plan, parts, solo in zip(self.plans, self.parts, self.solos, strict=True):
            trial = Eager(plan, trial_copy(parts, plan, parts.rows["train"].device), self.schedule)
            trial.load_state(_apart(solo.state()))
            trials.append(trial)
        return trials


def _apart(value: Any) -> Any:
    """Nested state with tensors of its own; those of a stack are views of one large tensor."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _apart(item) for key, item in value.items()}
    return type(value)(map(_apart, value)) if isinstance(value, list | tuple) else copy.deepcopy(value)


def compile_checked(
    candidate: Candidate, kind: GearKind, threads: Sequence[int], *, needs_gain: bool = True
) -> Compiled:
    """Compiles for the first number of threads with which the steps are right, and faster than the eager gear's.

    Torch computes with that number from then on. Raises NotCompiled, and changes nothing of the run.
    """
    before, reason = torch.get_num_threads(), ""
    for number in threads:
        torch.set_num_threads(number)
        try:
            return _compiled(candidate, kind, number, needs_gain=needs_gain)
        except NotCompiled as refused:
            reason = str(refused)
        except Exception as error:  # whatever a compiler or a device raises: the run has its eager gear
            reason = f"{type(error).__name__}: {_first_line(error)}"
            break
    torch.set_num_threads(before)
    raise NotCompiled(reason)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")


def _compiled(candidate: Candidate, kind: GearKind, threads: int, *, needs_gain: bool) -> Compiled:
    size, copies, eagers = candidate.steps_per_call, candidate.trials(), candidate.trials()
    n_calls = max(kind.n_calls, -(-CHECKED_STEPS // size))
    rows = [candidate.batch_at(index) for index in _full_batches(candidate.schedule, size, n_calls)]
    xs, ys = [x for x, _ in rows], [y for _, y in rows]
    streams = [torch.Generator() for _ in copies]
    stack = StackedState(candidate.plans, [trial.parts for trial in copies], streams, copies[0].step)
    options = option_table([eager.optimizer for eager in eagers], stack.optimizer.hyperparameters)
    table, is_full = [torch.stack([group] * size) for group in options], candidate.schedule.is_full_batch

    def stepped(call: int) -> torch.Tensor:
        batches = slice(1) if is_full else slice(call * size, (call + 1) * size)
        return run(state, StepInputs(xs[batches], ys[batches], table, copies[0].step + 1 + call * size))

    def taken(n_steps: int) -> torch.Tensor:
        batches = [(eager, x[i], y[i]) for x, y in rows[:n_steps] for i, eager in enumerate(eagers)]
        losses = [step_losses(eager.take(*batch), len(eager.terms or ())) for eager, *batch in batches]
        return torch.stack(losses).view(n_steps, -1)

    run, state, device = kind.make(stack, size, xs[0], threads, is_full), state_of(stack), xs[0].device
    before = state.copied()
    with kind.making():
        begin = clock(device)
        losses = [stepped(0)]
        seconds = clock(device) - begin
    losses += [stepped(call) for call in range(1, n_calls)]
    _compare_losses(
        step_losses(torch.cat(losses), stack.n_terms),
        taken(n_calls * size),
        LOSS_TOLERANCE[stack.groups[0].values.dtype],
    )
    _compare_parameters(stack.slices, eagers, before, state)
    n_timed = min(size, TIMED_STEPS)
    eager, compiled = _timed(device, (lambda: taken(n_timed), n_timed), (lambda: stepped(0), size))
    if needs_gain and eager < NEEDED_GAIN * compiled:
        beside = f" with {threads} threads" if kind.minds_threads else ""
        raise NotCompiled(f"it is not faster{beside}: {compiled * 1000:.3g} ms a step, against {eager * 1000:.3g} ms")
    return Compiled(run, threads, CompileRecord(seconds, eager, compiled))


def _full_batches(schedule: Schedule, size: int, n_calls: int) -> list[int]:
    """Indexes of batches of the epoch that have all their rows, one a step, the same ones again where there are fewer.

    At each step of a call they are others than in the call before, if there are two: rows that were kept would show.
    """
    full = [n for n in range(schedule.steps_per_epoch) if schedule.rows_at(n) == schedule.step_rows]
    return [full[(call + number) % len(full)] for call in range(n_calls) for number in range(size)]


def _compare_losses(losses: torch.Tensor, eager: torch.Tensor, tolerance: float) -> None:
    """Raises NotCompiled where the losses, (steps, members), are others, but for rounding, which steps carry on."""
    growth = torch.arange(1, len(eager) + 1, device=eager.device).clamp(min=TOLERANT_AFTER) / TOLERANT_AFTER
    if not bool(((losses - eager).abs() <= tolerance * growth.unsqueeze(1) * eager.abs()).all()):
        raise NotCompiled("its losses are not those of the eager gear")


def _compare_parameters(
    slices: Mapping[str, ParameterSlice], eagers: Sequence[Eager], before: StepState, after: StepState
) -> None:
    """Raises NotCompiled where the parameters went elsewhere than with the eager gear, but for rounding."""
    dtype = after.values[0].dtype
    for member, trial in enumerate(eagers):
        named = named_parameters(trial.parts.model, trial.parts.loss)
        eager = torch.cat([named[name].detach().reshape(-1) for name in slices])
        begin, end = (
            torch.cat([part.of(state.values[part.group])[member].reshape(-1) for part in slices.values()])
            for state in (before, after)
        )
        allowed = MOVE_TOLERANCE[dtype] * (eager - begin).norm() + ROUNDING[dtype] * (1 + eager.norm())
        if not (eager - end).norm() <= allowed:
            raise NotCompiled("its parameters are not those of the eager gear")


TimedCall = tuple[Callable[[], Any], int]
"""What is called, and the steps that a call takes."""


def _timed(device: torch.device, eager: TimedCall, compiled: TimedCall) -> tuple[float, float]:
    """The least seconds of a step of each; they take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(TIMED_ROUNDS):
        for (call, n_steps), taken in zip((eager, compiled), seconds, strict=True):
            begin = clock(device)
            call()
            taken.append((clock(device) - begin) / n_steps)
    return min(seconds[0]), min(seconds[1])
