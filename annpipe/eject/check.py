"""Runs a script where annpipe cannot be imported, and compares each epoch's losses with those of the eager gear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from annpipe.backend.device import computing, one_thread
from annpipe.backend.torch_globals import torch_defaults
from annpipe.errors import RunError
from annpipe.observer import Observer
from annpipe.plan.plan import Plan
from annpipe.train.gears.eager.gear import Eager
from annpipe.train.loop.evaluate import higher_is_better
from annpipe.train.loop.loop import Loop, LoopObserver
from annpipe.train.parts import build
from annpipe.train.schedule import schedule

KEYS = {"train/loss": "train_losses", "val/loss": "val_losses"}
HARNESS = """
import json, runpy, sys, torch

class NoAnnpipe:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("annpipe", "annpipe_std"):
            raise ModuleNotFoundError(f"a script has no need of {name}", name=name)

sys.meta_path.insert(0, NoAnnpipe())
torch.set_num_threads(1)
kept = runpy.run_path(sys.argv[1], run_name="__main__")
losses = {key: [float(value).hex() for value in kept.get(name, [])] for key, name in json.loads(sys.argv[3]).items()}
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(losses, file)
"""


@dataclass
class LossRecorder(LoopObserver):
    """The losses that a loop reports, by key."""

    observer: Observer
    by_key: dict[str, list[float]] = field(default_factory=lambda: {key: [] for key in KEYS})

    def losses(self, first_epoch: int, values: Sequence[float]) -> None:
        self.by_key["train/loss"] += values

    def values(self, epoch: int, values: Mapping[str, float]) -> None:
        if "val/loss" in values:
            self.by_key["val/loss"].append(values["val/loss"])

    def progress(self, step: int, loss: float) -> None:
        self.observer.progress(step, loss)

    @property
    def history(self) -> Mapping[str, tuple[list[int], list[float]]]:
        return {key: (list(range(1, len(values) + 1)), values) for key, values in self.by_key.items()}


@dataclass(frozen=True)
class LossComparison:
    """How a script and the eager gear agree: `epochs` were compared; `parts` says where they part, by key."""

    epochs: int
    parts: Mapping[str, LossParting]

    @property
    def is_equal(self) -> bool:
        return not self.parts


@dataclass(frozen=True)
class LossParting:
    """The first value at which two series differ, from 1; a series that is over has None."""

    at: int
    script: float | None
    run: float | None


def check(plan: Plan, script: Path, observer: Observer) -> LossComparison:
    """Trains the plan and runs the script, both on one thread; raises RunError where the script fails."""
    run, of_script = losses_of_run(plan, observer), losses_of_script(script)
    parted = {key: where for key in KEYS if (where := parting(of_script.get(key, []), run[key])) is not None}
    return LossComparison(len(run["train/loss"]), parted)


def parting(script: Sequence[float], run: Sequence[float]) -> LossParting | None:
    """Where two series part; None where they are equal, bit for bit."""
    for number in range(max(len(script), len(run))):
        left = script[number] if number < len(script) else None
        right = run[number] if number < len(run) else None
        if left is None or right is None or left.hex() != right.hex():
            return LossParting(number + 1, left, right)
    return None


def losses_of_run(plan: Plan, observer: Observer) -> Mapping[str, list[float]]:
    """The losses of each epoch as the eager gear makes them, on one thread of the CPU."""
    device = torch.device("cpu")
    series = LossRecorder(observer)
    with (
        tempfile.TemporaryDirectory() as folder,
        torch_defaults(),
        computing(plan.device.precision, deterministic=plan.device.deterministic) as dtype,
        one_thread(),
    ):
        parts = build(plan, device, dtype)
        steps = schedule(plan, len(parts.rows["train"]))
        gear: Any = Eager(plan, parts, steps)
        higher = higher_is_better(plan, parts)
        Loop(plan, parts, gear, steps, series, Path(folder), {}, higher_is_better=higher, keeps_start=False).run()
    return series.by_key


def losses_of_script(script: Path) -> Mapping[str, list[float]]:
    """The losses of each epoch as a script makes them, in a process of its of_script that finds no annpipe."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "losses.json"
        environment = {**os.environ, "MPLBACKEND": "Agg"}
        command = [sys.executable, "-c", HARNESS, str(script.resolve()), str(result), json.dumps(KEYS)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
        )
        if done.returncode or not result.is_file():
            reason = "\n".join(done.stderr.strip().splitlines()[-3:]) or f"exit code {done.returncode}"
            raise RunError(f"{script.name} fails: {reason}")
        kept = json.loads(result.read_text(encoding="utf-8"))
    return {key: list(map(float.fromhex, values)) for key, values in kept.items()}
