"""Properties of torch's schedulers that the engine needs beside their options: their length, and what follows it.

`length` is the option that says over how many of its steps a scheduler goes; `factors` are two whose product says it
instead. `after` is what comes beyond: torch `fails`, the rate is `zero`, it `turns` back or `repeats`; where it is left
out, the rate stays. `at` is the option with the step, or the steps, at which something happens. `parts` holds the
schedulers inside, which follow each other at the steps of `at`, or go on together.
"""

from __future__ import annotations

from typing import Any

SCHEDULES: dict[str, dict[str, Any]] = {
    "ChainedScheduler": {"parts": "schedulers"},
    "ConstantLR": {"at": "total_iters"},
    "CosineAnnealingLR": {"length": "T_max", "after": "turns"},
    "CosineAnnealingWarmRestarts": {"length": "T_0", "after": "repeats"},
    "CyclicLR": {"length": "step_size_up", "after": "repeats"},
    "LinearLR": {"length": "total_iters"},
    "MultiStepLR": {"at": "milestones"},
    "OneCycleLR": {"length": "total_steps", "factors": ["epochs", "steps_per_epoch"], "after": "fails"},
    "PolynomialLR": {"length": "total_iters", "after": "zero"},
    "SequentialLR": {"parts": "schedulers", "at": "milestones"},
    "StepLR": {"at": "step_size"},
}
FILLED: dict[str, dict[str, Any]] = {
    "CosineAnnealingLR": {"T_max": None},
    "LinearLR": {"total_iters": None},
    "PolynomialLR": {"total_iters": None},
}
"""Lengths that are the run's where a spec leaves them out, as OneCycleLR's; torch asks for them, or takes 5."""
