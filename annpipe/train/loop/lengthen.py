"""Makes the checkpoint of a run of one length that of a run of another length, and says where the two differ.

What does not depend on the length stays as it is, bit for bit: parameters, the optimizer's state, orders, dropout, a
schedule of its own length. The rates of a schedule that is as long as the run are from here on those of the new length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from annpipe.backend.instantiate import instantiate, parameter_groups
from annpipe.draft.component import Component
from annpipe.plan.plan import Plan
from annpipe.plan.schedules import run_length, with_length, with_other_length
from annpipe.spec.sections.models import Train
from annpipe.train.gears.eager.guard import RATES, lower_rates
from annpipe.train.parts import Parts, named_parameters
from annpipe.train.schedule import Schedule, schedule_of

OF_SCHEDULES = (*RATES, "momentum", "betas", "base_momentum", "max_momentum")  # what schedulers change in a group


@dataclass(frozen=True)
class Lengthened:
    """The state to go on from, what differs from a run that had this length from the start, and whether callbacks that
    ended the run begin anew."""

    state: dict[str, Any]
    notes: tuple[str, ...]
    begins_anew: bool


def lengthened(
    state: Mapping[str, Any], plan: Plan, was: Train, parts: Parts, *, has_own_schedule: bool = False
) -> Lengthened:
    """The state of a checkpoint made under the section `was`, for the plan that has another length.

    `has_own_schedule` says that the spec itself says how long the schedule is, which therefore stays so.
    """
    n_rows = len(parts.rows["train"])
    before, now = schedule_of(plan, n_rows, was), schedule_of(plan, n_rows, plan.train)
    step, gear, memory = state["gear"]["step"], dict(state["gear"]), dict(state["memory"])
    notes: list[str] = []
    scheduler = None if has_own_schedule else _changed_scheduler(plan, was, n_rows)
    if scheduler is not None:
        notes.append(_of_rates(plan, was, scheduler, gear, now, parts))
    notes += _of_average(plan, gear, before, now)
    ended_by, memory["ended_by"] = memory["ended_by"], None
    if ended_by:
        notes.append(f"the run {ended_by}: what ended it begins anew, and would have ended the longer run as well")
        if plan.train.max_seconds is not None and memory["seconds"] >= plan.train.max_seconds:
            memory["seconds"] = 0.0
    elif step == before.total_steps:
        notes += _of_the_end(step, before)
    is_other = before.total_steps != now.total_steps
    if is_other and gear.get("gear", {}).get("shifted_at") is not None:
        notes.append("compiled steps are grouped by the length of the run, which may change the last bits of a loss")
    return Lengthened({**state, "gear": gear, "memory": memory}, tuple(notes), bool(ended_by))


def _changed_scheduler(plan: Plan, was: Train, n_rows: int) -> Component | None:
    """The scheduler of the new length, where it was another one before; None where it is the same."""
    then, now = run_length(was, n_rows), run_length(plan.train, n_rows)
    if plan.scheduler is None or plan.followed_metric is not None or then is None or now is None:
        return None
    scheduler = with_length(plan.scheduler, now.steps)
    return None if with_other_length(scheduler, now, then).to_data() == scheduler.to_data() else scheduler


def _of_rates(plan: Plan, was: Train, scheduler: Component, gear: dict[str, Any], now: Schedule, parts: Parts) -> str:
    """Puts the schedule into the state as it stands after these steps of a run of the new length."""
    per_epoch = now.steps_per_epoch
    optimizer, built = _twin(plan, scheduler, parts)
    for _ in range(gear["step"] if plan.train.scheduler_each == "step" else gear["step"] // per_epoch):
        built.step()
    for _ in range((gear.get("guard") or {}).get("n_rollbacks", 0)):
        lower_rates(optimizer, built)
    groups = [
        {**group, **{name: fresh[name] for name in OF_SCHEDULES if name in fresh}}
        for group, fresh in zip(gear["optimizer"]["param_groups"], optimizer.param_groups, strict=True)
    ]
    gear["optimizer"] = {**gear["optimizer"], "param_groups": groups}
    gear["scheduler"] = built.state_dict()
    epoch = gear["step"] // per_epoch + 1
    return (
        f"{scheduler.name} is as long as the run: it went over {length_words(was)} until here, and from epoch {epoch} "
        f"on has the rates of a run of {length_words(plan.train)} (lr {float(groups[0]['lr']):.4g}), which would have "
        f"had them from the start; the record keeps the rate that was noted for epoch {epoch} before"
    )


def _twin(plan: Plan, scheduler: Component, parts: Parts) -> tuple[torch.optim.Optimizer, Any]:
    """An optimizer with the groups of the run's, over parameters of one number each, and the scheduler of it."""
    names = named_parameters(parts.model, parts.loss, plan.thaw)
    tiny = {name: torch.nn.Parameter(torch.zeros(1)) for name in names}
    component = plan.optimizer.with_options(fused=None) if "fused" in plan.optimizer.options else plan.optimizer
    optimizer = instantiate(component, params=parameter_groups(tiny, plan.groups))
    optimizer._opt_called = True  # as if it had stepped: torch warns where a scheduler goes first
    return optimizer, instantiate(scheduler, optimizer=optimizer)


def _of_average(plan: Plan, gear: dict[str, Any], before: Schedule, now: Schedule) -> Iterator[str]:
    """Drops an average that would not have begun yet; says where it holds more than it should."""
    start = float(plan.average.options.get("start") or 0.0) if plan.average else 0.0
    if plan.average is None or not start or not gear["average"] or not int(gear["average"]["n_averaged"]):
        return
    name, first = plan.average.name, int(start * now.total_steps) + 1
    if gear["step"] < first:
        gear["average"] = {**gear["average"], "n_averaged": torch.zeros_like(gear["average"]["n_averaged"])}
        since = int(start * before.total_steps) + 1
        yield f"{name} begins again at step {first}; what was measured from step {since} on was that of the average"
    elif now.total_steps != before.total_steps:
        yield f"{name} holds parameters of steps before {first}, where that of a run of this length would begin"


def _of_the_end(step: int, before: Schedule) -> Iterator[str]:
    """What the last step of the shorter run was, and the same step of a longer one is not."""
    per_epoch = before.steps_per_epoch
    if step % per_epoch:
        epoch = step // per_epoch + 1
        yield f"epoch {epoch} was cut at step {step}: its points in the record stay those of its first steps"
    if before.look_every is not None and step % (before.look_every * per_epoch):
        yield f"step {step} ended with a look, which callbacks and a scheduler that follows a metric have seen"


def begin_anew(callbacks: Sequence[Any], epoch: int) -> None:
    """Lets callbacks that ended the run start over, as early stopping counts its patience from this epoch."""
    for callback in callbacks:
        if begins := getattr(callback, "begin_anew", None):
            begins(epoch)


def length_words(train: Train) -> str:
    """`12 epochs`, `1 step`."""
    number, unit = (train.epochs, "epoch") if train.epochs is not None else (train.steps or 0, "step")
    return f"{number:,} {unit}{'s' * (number != 1)}"
