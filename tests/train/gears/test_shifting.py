"""The gear of a run by itself: which one a plan asks for, and what it leaves when it is closed."""

from __future__ import annotations

import torch

from annpipe.backend.device import computing
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.gears.shifting import gear_for
from annpipe.train.parts import build
from annpipe.train.schedule import schedule
from tests.train.gears.stacks import SPEC
from tests.training import Planned


def test_off_and_deterministic_runs_stay_eager(planned: Planned) -> None:
    """`auto` of a deterministic run is `off`."""
    for override in ("device.compile=off", "device={compile: auto, deterministic: true}"):
        plan = planned(SPEC, override)
        with computing(plan.device.precision, deterministic=False) as dtype:
            parts = build(plan, torch.device("cpu"), dtype)
            assert type(gear_for(plan, parts, schedule(plan, len(parts.rows["train"])), print)) is Eager
