"""Finds options of a spec that exclude each other or have no effect together, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from annpipe.draft.component import Component, components_in
from annpipe.errors import Problem
from annpipe.registry.traits import OptimizerTraits, SchedulerTraits

if TYPE_CHECKING:
    from annpipe.draft.types import Draft


def contradictions(drafted: Draft) -> Iterator[Problem]:
    """Options of `train`, `device` and `scheduler` that do not go together."""
    train, spec = drafted.spec.train, drafted.spec
    if train.accumulate > 1 and train.batch_size == "all":
        message = "`train.accumulate` adds batches up, and `batch_size: all` has only one"
        yield Problem("wrong-value", message, spec.place("train", "accumulate"), "give `batch_size` in rows")
    optimizer = drafted.optimizer
    has_closure = optimizer.traits(OptimizerTraits).closure
    if spec.device.autocast == "float16" and has_closure:
        message = f"{optimizer.name} evaluates the model several times a step, and float16 scales one gradient a step"
        yield Problem("wrong-value", message, spec.place("device", "autocast"), "take bfloat16, or another optimizer")
    if train.non_finite != "stop" and (spec.device.autocast == "float16" or has_closure):
        yield _not_by_the_step(drafted)
    if train.scheduler_each == "step" and not spec.problems:
        yield from _each_step(drafted)
    if drafted.scheduler is not None:
        yield from _without_metric(drafted, drafted.scheduler)


def _not_by_the_step(drafted: Draft) -> Problem:
    """A step that cannot be left out, or is anyway."""
    place, wanted = drafted.spec.place("train", "non_finite"), drafted.spec.train.non_finite
    if drafted.spec.device.autocast == "float16":
        message = f"float16 leaves out steps whose gradients are not finite by itself, so there is nothing to {wanted}"
        return Problem("wrong-value", message, place, "leave it out, or take bfloat16")
    message = f"{drafted.optimizer.name} evaluates the model several times a step, of which none can be undone"
    return Problem("wrong-value", message, place, "leave it out, or take another optimizer")


def _each_step(drafted: Draft) -> Iterator[Problem]:
    place = drafted.spec.place("train", "scheduler_each")
    if drafted.scheduler is None:
        message = "there is no scheduler that could go on at each step"
        yield Problem("wrong-value", message, place, "add one, or leave this out")
        return
    if follows_metric(drafted.scheduler):
        message = f"{drafted.scheduler.name} follows a metric, and a metric is known once an epoch"
        yield Problem("wrong-value", message, place, "leave it out")


def _without_metric(drafted: Draft, outer: Component) -> Iterator[Problem]:
    """Schedulers that follow a metric inside another one, which steps them without it."""
    for inner in components_in(dict(outer.options)):
        if follows_metric(inner):
            message = f"{inner.name} follows a metric, and {outer.name} steps it without one"
            yield Problem("wrong-value", message, inner.place, f"let {inner.name} be the scheduler by itself")
        yield from _without_metric(drafted, inner)


def follows_metric(scheduler: Component) -> bool:
    """Whether a scheduler is stepped with the value of a metric."""
    return scheduler.traits(SchedulerTraits).steps_on == "metric"
