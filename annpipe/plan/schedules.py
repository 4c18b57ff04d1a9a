"""The length of a scheduler: the run's where the spec leaves it out, checked against the run where the spec gives it.

A scheduler counts its own steps: those of the optimizer, or epochs. What the engine must know of one stands in its
entry: see `annpipe_std.torch_schedules` for the words.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from annpipe.backend.instantiate import instantiate, parameter_groups
from annpipe.draft.component import Component, at_every_depth
from annpipe.draft.metric_keys import follows_metric
from annpipe.draft.sections import Draft
from annpipe.errors import Place, Problem
from annpipe.errors.wording import first_line
from annpipe.expression import Expression
from annpipe.registry.traits import SchedulerTraits
from annpipe.spec.sections.models import Train

UNKNOWN = 1000  # steps of a run whose rows nobody has counted, for a look at what a scheduler refuses
MOST_STEPS = 500  # that a schedule is tried for; formulas are computed for all
MOST_NUMBERS = 2**20


@dataclass(frozen=True)
class Length:
    """The steps of a scheduler in a run: the rates that `steps` of them train with, and how often it goes on, `calls`.

    An epoch that the run ends within has a rate of its own, and no step of the scheduler after it.
    """

    steps: int
    calls: int
    is_each_step: bool

    @property
    def words(self) -> str:
        """`12 steps`, `3 epochs`."""
        return f"{self.steps:,} {'step' if self.is_each_step else 'epoch'}{'s' if self.steps != 1 else ''}"


def step_rows(train: Train, n_rows: int) -> int:
    """The rows that one step of the optimizer sees."""
    batch = n_rows if train.batch_size == "all" else train.batch_size
    return min(batch * train.accumulate, n_rows)


def steps_in_epoch(n_rows: int, rows: int, *, drop_last: bool) -> int:
    """The steps of the optimizer over `n_rows` rows, each on so many."""
    return max(1, n_rows // rows if drop_last else math.ceil(n_rows / rows))


def run_length(train: Train, n_rows: int | None) -> Length | None:
    """How long a scheduler goes in a run over `n_rows` rows; None where that depends on rows that are not known."""
    is_each_step = train.scheduler_each == "step"
    if train.steps is not None and is_each_step:
        return Length(train.steps, train.steps, is_each_step)
    if train.epochs is not None and not is_each_step:
        return Length(train.epochs, train.epochs, is_each_step)
    if not n_rows:
        return None
    per_epoch = steps_in_epoch(n_rows, step_rows(train, n_rows), drop_last=train.drop_last)
    if train.steps is None:
        assert train.epochs is not None  # the spec says one of the two
        return Length(train.epochs * per_epoch, train.epochs * per_epoch, is_each_step)
    return Length(math.ceil(train.steps / per_epoch), train.steps // per_epoch, is_each_step)


def with_length(scheduler: Component, steps: int) -> Component:
    """The scheduler over so many steps where the spec leaves its length out, and those inside it over their parts."""
    traits = scheduler.traits(SchedulerTraits)
    if traits.length and _length_of(scheduler) is None and not _factors(scheduler):
        scheduler = scheduler.with_options(**{traits.length: max(1, steps)})
    if traits.parts and (inner := _inside(scheduler)):
        spans = _spans(scheduler, Length(steps, steps, True))
        filled = [with_length(part, span.steps) for part, span in zip(inner, spans, strict=True)]
        scheduler = scheduler.with_options(**{traits.parts: filled})
    return scheduler


def as_long_as(length: Length | None, drafted: Draft) -> Draft:
    """The draft with a scheduler that is as long as the run, as far as that is known."""
    if drafted.scheduler is None or length is None:
        return drafted
    return replace(drafted, scheduler=with_length(drafted.scheduler, length.steps))


def with_other_length(scheduler: Component, was: Length, now: Length) -> Component:
    """The scheduler of a run whose length becomes another: each length that is the run's becomes that of now.

    Lengths and steps that are others stay, as those of a warm-up.
    """
    traits = scheduler.traits(SchedulerTraits)
    if traits.length and _may_be_filled(scheduler, traits.length) and _length_of(scheduler) == was.steps:
        scheduler = scheduler.with_options(**{traits.length: max(1, now.steps)})
    if traits.parts and (inner := _inside(scheduler)):
        spans = zip(inner, _spans(scheduler, was), _spans(scheduler, now), strict=True)
        changed = [with_other_length(part, before, after) for part, before, after in spans]
        scheduler = scheduler.with_options(**{traits.parts: changed})
    return scheduler


def says_its_length(scheduler: Component, length: Length) -> bool:
    """Whether the spec itself says a length that is just the run's, of the scheduler or of one inside it."""
    option = scheduler.traits(SchedulerTraits).length or ""
    if option in scheduler.nodes and _may_be_filled(scheduler, option) and _length_of(scheduler) == length.steps:
        return True
    spans = zip(_inside(scheduler), _spans(scheduler, length), strict=True)
    return any(says_its_length(part, span) for part, span in spans)


def _may_be_filled(scheduler: Component, option: str) -> bool:
    """Whether a length is the run's where a spec leaves it out."""
    parameter = scheduler.entry.parameter(option)
    return parameter is not None and parameter.default is None and not parameter.required and not _factors(scheduler)


def misfits_of(
    scheduler: Component, drafted: Draft, parameters: Mapping[str, torch.nn.Parameter], length: Length
) -> list[Problem]:
    """Where a scheduler and the run do not fit: errors where training would fail, warnings where it stops short.

    What it says of its length is held against the run's, its formulas are computed, and its steps are tried.
    """
    problems = list(_of_lengths(scheduler, length))
    formulas = [problem for part in at_every_depth([scheduler]) for problem in _of_formulas(part, length)]
    problems += formulas
    if follows_metric(scheduler) or any(p.severity == "error" for p in problems):
        return problems
    tried = list(_of_rates(scheduler, drafted, parameters, length))
    return problems + [problem for problem in tried if problem.severity == "error" or not problems]


def too_short(scheduler: Component, length: Length) -> list[Problem]:
    """What a scheduler says of its length that would end the training."""
    return [problem for problem in _of_lengths(scheduler, length) if problem.severity == "error"]


def _factors(scheduler: Component) -> list[str]:
    """The options that together say the length, of which the spec gives one at least."""
    return [name for name in scheduler.traits(SchedulerTraits).factors if scheduler.options.get(name) is not None]


def _length_of(scheduler: Component) -> int | None:
    """The length that a scheduler has."""
    traits = scheduler.traits(SchedulerTraits)
    value = scheduler.options.get(traits.length or "")
    if isinstance(value, int):
        return value
    factors = _factors(scheduler)
    if factors and len(factors) == len(traits.factors):
        return int(math.prod(scheduler.options[name] for name in factors))
    return None


def _inside(scheduler: Component) -> list[Component]:
    value = scheduler.options.get(scheduler.traits(SchedulerTraits).parts or "")
    return [part for part in value if isinstance(part, Component)] if isinstance(value, list) else []


def _spans(scheduler: Component, length: Length) -> list[Length]:
    """How long each scheduler inside goes: between the steps at which they follow each other, or all the time."""
    count, borders = len(_inside(scheduler)), scheduler.options.get(scheduler.traits(SchedulerTraits).at or "")
    if not isinstance(borders, list) or len(borders) != count - 1:
        return [length] * count
    spans = []
    for begin, end in zip([0, *borders], [*borders, None], strict=True):
        steps = max(1, (length.steps if end is None else min(end, length.steps)) - begin)
        calls = max(0, length.calls - begin if end is None else min(end - 1, length.calls) - begin)
        spans.append(Length(steps, calls, length.is_each_step))
    return spans


def _of_lengths(scheduler: Component, length: Length) -> Iterator[Problem]:
    """What a scheduler says of its length, and of steps at which something happens, and those inside it."""
    if (steps := _length_of(scheduler)) is not None:
        yield from _of_length(scheduler, steps, length)
    yield from _of_events(scheduler, length)
    for inner, span in zip(_inside(scheduler), _spans(scheduler, length), strict=True):
        yield from _of_lengths(inner, span)


def _of_length(scheduler: Component, steps: int, length: Length) -> Iterator[Problem]:
    traits = scheduler.traits(SchedulerTraits)
    assert traits.length is not None  # it says one
    names = _factors(scheduler) if scheduler.options.get(traits.length) is None else [traits.length]
    place = _place(scheduler, names)
    option = f"`{scheduler.name}.{names[0]}`" + "".join(f" times `{name}`" for name in names[1:])
    fills = traits.length in scheduler.nodes or names != [traits.length] or bool(traits.factors)
    help_ = f"leave it out: it is then the run's {length.steps}" if fills else f"{length.steps} would be the run's"
    has = f"{option} is {steps}, and the scheduler goes over {length.words} here"
    after = traits.after
    if after == "fails" and steps < length.calls:
        yield Problem("wrong-value", f"{has}: torch fails after {steps}", place, help_)
    elif steps > length.steps:
        message = f"{has}: the run ends before the schedule does"
        yield Problem("schedule", message, place, help_, severity="warning")
    elif steps < length.steps and after in ("zero", "turns", "fails"):
        notes = {
            "zero": "the rate is 0 after that, and nothing is learnt",
            "turns": "the rate rises again after that",
        }
        message = f"{has}: {notes.get(after, 'the last rate comes before the end')}"
        yield Problem("schedule", message, place, help_, severity="warning")


def _of_events(scheduler: Component, length: Length) -> Iterator[Problem]:
    name = scheduler.traits(SchedulerTraits).at or ""
    value = scheduler.options.get(name)
    late = [
        step
        for step in (value if isinstance(value, list) else [value])
        if isinstance(step, int) and step >= length.steps
    ]
    if late:
        message = f"`{scheduler.name}.{name}`: step {late[0]} never comes, the scheduler goes over {length.words} here"
        help_ = f"write a step before {length.steps}, or leave the scheduler out"
        yield Problem("schedule", message, _place(scheduler, [name]), help_, severity="warning")


def _place(scheduler: Component, names: Sequence[str]) -> Place | None:
    node = next((scheduler.nodes[name] for name in names if name in scheduler.nodes), None)
    return node.place if node else scheduler.place


def _of_formulas(scheduler: Component, length: Length) -> Iterator[Problem]:
    """Formulas of the step that give no number at one."""
    for name, value in scheduler.options.items():
        for formula in value if isinstance(value, list) else [value]:
            if not isinstance(formula, Expression) or len(formula.names) > 1:
                continue
            steps = torch.arange(min(length.calls + 1, MOST_NUMBERS), dtype=torch.float64)
            factors = formula.evaluate(dict.fromkeys(formula.names or {"value"}, steps)).expand(len(steps))
            if not bool(factors.isfinite().all()):
                step = int(factors.isfinite().logical_not().nonzero()[0])
                message = f"`{scheduler.name}.{name}`: the formula gives {float(factors[step])} at step {step}"
                yield Problem("wrong-value", message, _place(scheduler, [name]), "let it give a number at every step")


def _of_rates(
    scheduler: Component, drafted: Draft, parameters: Mapping[str, torch.nn.Parameter], length: Length
) -> Iterator[Problem]:
    """The scheduler's first steps, taken: one that fails, a rate that is no number, below zero, or zero to the end."""
    params = parameter_groups(parameters, drafted.groups)
    component = drafted.optimizer
    optimizer = instantiate(component.with_options(**_unfused(component)), params=params)
    optimizer._opt_called = True  # as if it had stepped: torch warns where a scheduler goes first
    rates: list[list[float]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = instantiate(scheduler, optimizer=optimizer)
        fails = scheduler.traits(SchedulerTraits).after == "fails"
        last = [length.calls] if fails and length.calls > MOST_STEPS else []  # one whose last step may be its fault
        for step in [*range(min(length.calls, MOST_STEPS) + 1), *last]:
            if step > MOST_STEPS:
                built.last_epoch = step - 1
            if step:
                try:
                    built.step()
                except Exception as error:  # a scheduler may fail with anything
                    message = f"{scheduler.name} fails at its step {step} of {length.calls}: {first_line(error)}"
                    yield Problem("wrong-value", message, scheduler.place, "change its options")
                    return
            rates.append([float(group.get("lr", 0.0)) for group in optimizer.param_groups])
    yield from _of_numbers(scheduler, rates[: min(length.steps, MOST_STEPS)], length)


def _of_numbers(scheduler: Component, rates: Sequence[Sequence[float]], length: Length) -> Iterator[Problem]:
    broken = next((step for step, row in enumerate(rates) if not all(map(math.isfinite, row))), None)
    if broken is not None:
        message = f"{scheduler.name} makes the learning rate {rates[broken]} at its step {broken}"
        yield Problem("wrong-value", message, scheduler.place, "change its options")
        return
    below = next((step for step, row in enumerate(rates) if min(row) < 0), None)
    if below is not None:
        message = f"{scheduler.name} makes the learning rate {min(rates[below]):g} at its step {below}"
        message += ": such a step increases the loss"
        yield Problem("schedule", message, scheduler.place, "keep the rate above 0", severity="warning")
    zero = next((n for n, row in enumerate(reversed(rates)) if max(map(abs, row)) > 0), len(rates))
    if zero and below is None:
        begin, over = len(rates) - zero, length.words
        message = f"{scheduler.name} makes the learning rate 0 from its step {begin} on, and goes over {over} here"
        help_ = "nothing is learnt with a rate of 0: let it end later, or above 0"
        yield Problem("schedule", message, scheduler.place, help_, severity="warning")


def _unfused(optimizer: Component) -> dict[str, Any]:
    """Meta tensors have no fused kernels."""
    return {"fused": None} if "fused" in optimizer.options else {}
