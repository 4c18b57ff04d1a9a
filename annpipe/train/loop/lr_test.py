"""Suggests a learning rate by Smith's range test (2017, arXiv:1506.01186): the rate grows until the loss diverges."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from annpipe.backend.device import computing, find_device
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import RunError
from annpipe.plan.plan import Plan
from annpipe.registry.traits import OptimizerTraits
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.parts import Parts, build
from annpipe.train.schedule import schedule
from annpipe.train.tally import step_losses

BLOWN_UP = 4.0
"""A mean over the last steps so many times the smallest one ends the test."""


@dataclass(frozen=True)
class RateTest:
    """The rates that were tried, the loss at each and its smoothed course, (steps,) each, and the rate suggested."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggested: float


@torch_defaults()
def try_rates(plan: Plan, *, low: float, high: float, steps: int) -> RateTest:
    """A learning rate range test of the plan, on parts made for it: no run is recorded, and none is influenced."""
    device = find_device(plan.device.type, None)
    unscheduled = replace(plan, scheduler=None)
    with computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype:
        torch.set_num_threads(1 if plan.device.threads == "auto" else plan.device.threads)
        return range_test(unscheduled, build(unscheduled, device, dtype), low=low, high=high, steps=steps)


def range_test(plan: Plan, parts: Parts, *, low: float, high: float, steps: int) -> RateTest:
    """Trains the parts for up to so many steps, the rate growing from `low` to `high` by the same factor each time.

    The parts are spent by this; a run has parts of its own. Several parameter groups keep the ratios of their rates.
    Raises RunError where the optimizer has no learning rate, or the loss tells nothing.
    """
    groups = parts.optimizer.param_groups
    if plan.optimizer.traits(OptimizerTraits).closure or any(not group.get("lr") for group in groups):
        raise RunError(f"{plan.optimizer.name} has no learning rate to look for: it searches for its steps itself")
    ratios = [float(group["lr"]) / float(groups[0]["lr"]) for group in groups]
    gear = Eager(plan, parts, schedule(plan, len(parts.rows["train"])))
    window, rates, losses, best = steps // 20 + 1, list[float](), list[float](), math.inf
    for step in range(steps):
        rate = low * (high / low) ** (step / (steps - 1))
        for group, ratio in zip(groups, ratios, strict=True):
            group["lr"] = rate * ratio
        loss = float(step_losses(gear.advance(1), len(gear.terms or ())))
        if not math.isfinite(loss):
            break
        rates, losses = [*rates, rate], [*losses, loss]
        mean = sum(losses[-window:]) / len(losses[-window:])
        best = min(best, mean)
        if mean > BLOWN_UP * best:
            break
    course = smoothed(losses, window)
    return RateTest(rates, losses, course, steepest(rates, course, window))


def smoothed(losses: list[float], window: int) -> list[float]:
    """The mean over up to so many steps before and after each, which comes neither too early nor too late."""
    around = [losses[max(0, step - window // 2) : step + window // 2 + 1] for step in range(len(losses))]
    return [sum(some) / len(some) for some in around]


def steepest(rates: list[float], course: list[float], window: int) -> float:
    """The rate at which the loss falls fastest over the logarithm of the rate, on the way to its lowest point.

    The fall at a step is that from half a window before to half a window after, which noise hides less than that
    between neighbours. Raises RunError where nothing falls.
    """
    half, lowest = max(1, window // 2), course.index(min(course)) if course else 0
    steps = range(half, lowest - half + 1)
    if not steps:
        raise RunError("the loss falls at none of these rates: begin with a lower one, as `--from 1e-9`")
    return rates[min(steps, key=lambda step: course[step + half] - course[step - half])]
