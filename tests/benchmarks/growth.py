"""How do time and memory grow? `python tests/benchmarks/growth.py [FOLDER]` draws growth.svg into the folder.

    width, depth   of a perceptron over 256 rows: a step, and the peak memory of a process that takes some
    rows           of a full batch: the same
    trials         of a stack: the same
    steps          of a whole recorded run, ten thousand to a million epochs of one step: peak memory of trainer and
                   shipper, which may not grow with them; with `growth.py steps`

Each point is a process of its own, with one thread and the eager gear, in an order that runs to and fro, so that what
else the machine does falls on all. An exponent is the slope of a line through the upper half of the points, on
logarithmic axes; what it may be is said beside it. Memory is what a process has beyond one with the smallest job.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from measure import environment, machine

SIZES = {
    "width": (64, 128, 256, 512, 1024, 2048),
    "depth": (2, 4, 8, 16, 32, 64),
    "rows": (1000, 4000, 16_000, 64_000, 256_000),
    "trials": (2, 4, 8, 16, 32, 64),
}
WORK = {"width": 2.0, "depth": 1.0, "rows": 1.0, "trials": 1.0}  # the exponent of the multiply-adds
SLACK = 0.15  # that a fitted exponent may lie above
SECONDS = 2.0  # of steps a point
COLOURS = {"width": "#0072B2", "depth": "#D55E00", "rows": "#009E73", "trials": "#CC79A7"}


def spec(what: str, size: int, seed: int = 0) -> str:
    """The job of a point."""
    width = size if what == "width" else 64
    depth = size if what == "depth" else 2
    rows = size if what == "rows" else 256
    layers = ", ".join(f"{{Linear: {width}}}, ReLU" for _ in range(depth))
    return f"""
version: 1
name: growth
seed: {seed}
device: {{type: cpu, threads: 1, compile: off}}
data: {{formula: {{rows: {rows}, inputs: {{x: {{Uniform: [-1, 1]}}}}, targets: {{y: x**2}}}}}}
model: [{layers}, {{Linear: 1}}]
loss: MSELoss
optimizer: {{Adam: {{lr: 1.0e-4}}}}
train: {{epochs: 1000000, batch_size: all}}
"""


def point(what: str, size: int) -> tuple[float, float]:
    """Milliseconds a step and MiB at the highest point, of this process."""
    import torch

    from annpipe.backend.device import computing
    from annpipe.draft.draft import draft
    from annpipe.plan.resolve.resolve import resolve
    from annpipe.registry.registry import Registry
    from annpipe.spec import load_spec
    from annpipe.train.gears.eager.gear import Eager
    from annpipe.train.gears.stack import StackedRuns
    from annpipe.train.parts import build
    from annpipe.train.schedule import schedule

    torch.set_num_threads(1)
    plans, registry = [], Registry.installed()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(size if what == "trials" else 1):
            file = Path(folder) / "spec.yaml"
            file.write_text(spec(what, size, seed))
            plans.append(resolve(draft(load_spec(file), registry, project=file.parent)))
    with computing("float32", deterministic=False) as dtype:
        parts = [build(plan, torch.device("cpu"), dtype) for plan in plans]
        steps = [schedule(plan, len(one.rows["train"])) for plan, one in zip(plans, parts, strict=True)]
        take = (
            StackedRuns(plans, parts, steps).take if what == "trials" else Eager(plans[0], parts[0], steps[0]).advance
        )
        take(2)
        least, begin = math.inf, time.perf_counter()
        while time.perf_counter() - begin < SECONDS:
            before = time.perf_counter()
            take(1)
            least = min(least, time.perf_counter() - before)
    return least * 1000, peak_mib("self")


def peak_mib(process: int | str) -> float:
    """What a process had in memory at its highest point (Linux); 0 where it has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+)", text)
    return int(found[1]) / 1024 if found else 0.0


def measured(what: str, size: int) -> tuple[float, float]:
    """The same of a process of its own."""
    command = [sys.executable, __file__, "--point", what, str(size)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    milliseconds, mib = json.loads(done.stdout)
    return milliseconds, mib


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope through the upper half of the points, by least squares of the logarithms."""
    half = len(sizes) // 2
    pairs = [(math.log(x), math.log(y)) for x, y in zip(sizes, values, strict=True) if y > 0][half:]
    if len(pairs) < 2:
        return math.nan
    x_mean, y_mean = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return sum((x - x_mean) * (y - y_mean) for x, y in pairs) / sum((x - x_mean) ** 2 for x, _ in pairs)


def curves() -> dict[str, list[tuple[float, float]]]:
    """By what grows, milliseconds and MiB of each size: the least of two processes for the time."""
    found: dict[str, list[tuple[float, float]]] = {}
    for what, sizes in SIZES.items():
        there = [measured(what, size) for size in sizes]
        back = [measured(what, size) for size in reversed(sizes)][::-1]
        found[what] = [(min(one[0], other[0]), min(one[1], other[1])) for one, other in zip(there, back, strict=True)]
    return found


def show(found: dict[str, list[tuple[float, float]]]) -> None:
    """The exponents as a table."""
    print("| against | time a step | memory | the work | |\n|---|---|---|---|---|")
    for what, points in found.items():
        time_slope = exponent(SIZES[what], [point[0] for point in points])
        memory_slope = exponent(SIZES[what][1:], beyond(points)[1:])
        holds = max(time_slope, memory_slope) <= WORK[what] + SLACK
        verdict = "holds" if holds else "**missed**"
        print(f"| {what} | {time_slope:.2f} | {memory_slope:.2f} | {WORK[what]:g} | {verdict} |")
    print(f"\n{machine()}")


def beyond(points: Sequence[tuple[float, float]]) -> list[float]:
    """The memory of each point beyond that of the first."""
    return [point[1] - points[0][1] for point in points]


def draw(found: dict[str, list[tuple[float, float]]], file: Path) -> None:
    """Time and memory against the size, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    panels = figure.subplots(1, 2)
    figure.suptitle("Growth: each size relative to the smallest", x=0.01, ha="left", fontweight="bold")
    for what, points in found.items():
        relative = [size / SIZES[what][0] for size in SIZES[what]]
        slope = exponent(SIZES[what], [point[0] for point in points])
        times, memory = [point[0] for point in points], beyond(points)
        panels[0].loglog(relative, times, "o-", color=COLOURS[what], label=f"{what}, exponent {slope:.2f}")
        panels[1].loglog(relative[1:], memory[1:], "o-", color=COLOURS[what], label=what)
    for panel, unit in zip(panels, ("ms a step", "MiB beyond the smallest job"), strict=True):
        panel.set(xlabel="times the smallest", ylabel=unit)
        panel.grid(color="#e4e4e4", linewidth=0.7)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=9)
    figure.savefig(file)


def steps() -> None:
    """Peak memory of trainer and shipper over runs of a hundred thousand and a million steps."""
    text = spec("rows", 8) + "tracking: {wait_seconds: 600}\n"
    print("| epochs of one step | trainer, MiB | shipper, MiB | seconds |\n|---|---|---|---|")
    for epochs in (10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            Path(folder, "spec.yaml").write_text(text.replace("epochs: 1000000", f"epochs: {epochs}"))
            command = [sys.executable, "-m", "annpipe", "run", "spec.yaml"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            with subprocess.Popen(command, cwd=folder, env=environment(), **quiet) as process:
                trainer = shipper = 0.0
                while process.poll() is None:
                    trainer = max(trainer, peak_mib(process.pid))
                    shipper = max([shipper, *map(peak_mib, _children(process.pid))])
                    time.sleep(0.1)
            print(f"| {epochs:,} | {trainer:.0f} | {shipper:.0f} | {time.perf_counter() - begin:.0f} |", flush=True)


def _children(process: int) -> list[int]:
    try:
        return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--point"]:
        print(json.dumps(point(arguments[1], int(arguments[2]))))
    elif "steps" in arguments:
        steps()
    else:
        grown = curves()
        show(grown)
        draw(grown, Path(*arguments[:1], "growth.svg"))
