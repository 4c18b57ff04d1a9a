"""Many runs as one stack against a loop by hand for each: `python tests/benchmarks/stacked.py [STEPS] [ROWS …]`.

64 members, 8 learning rates with 8 seeds each, of the seed network 1-100-10-6-1; full batches, Adam. The hand loop
trains a few of them, one after another, and a step of one member is compared with a step of one of those. Both
have one thread, and take turns.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from measure import Figure, alternate, show

from annpipe.backend.device import computing
from annpipe.draft.draft import draft
from annpipe.plan.plan import Plan
from annpipe.plan.resolve.resolve import resolve
from annpipe.registry.registry import Registry
from annpipe.spec import load_spec
from annpipe.train.gears.stack import StackedRuns
from annpipe.train.parts import build
from annpipe.train.schedule import schedule

RATES, SEEDS, BY_HAND, ROUNDS = 8, 8, 3, 5
SPEC = """
version: 1
name: stacked
seed: {seed}
device: {{type: cpu, threads: 1}}
data: {{formula: {{rows: {rows}, inputs: {{x: {{Uniform: [-15, 15]}}}}, targets: {{y: x*x + 3}}}}}}
model: [Linear: 100, ReLU, Linear: 10, ReLU, Linear: 6, ReLU, Linear: 1]
loss: L1Loss
optimizer: {{Adam: {{lr: {rate}}}}}
train: {{epochs: 1000000{batch}}}
"""


def plans(rows: int, batch: str) -> list[Plan]:
    """The plans of all members."""
    registry, found = Registry.installed(), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(RATES * SEEDS):
            spec = Path(folder) / "spec.yaml"
            rate = 1e-4 * 2 ** (number % RATES)
            spec.write_text(SPEC.format(seed=number // RATES, rate=rate, rows=rows, batch=batch))
            found.append(resolve(draft(load_spec(spec), registry, project=spec.parent)))
    return found


def by_hand(rows: torch.Tensor, targets: torch.Tensor, n_steps: int, size: int | None) -> None:
    """A plain loop as one writes it, for one run after another."""
    for _ in range(BY_HAND):
        sizes = [1, 100, 10, 6, 1]
        layers: list[torch.nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        model, loss = torch.nn.Sequential(*layers[:-1]), torch.nn.L1Loss()
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(n_steps):
            chosen = slice(None) if size is None else torch.randperm(len(rows))[:size]
            optimizer.zero_grad()
            value = loss(model(rows[chosen]), targets[chosen])
            value.backward()
            optimizer.step()
            value.item()


def measure(n_steps: int, rows: int, size: int | None = None) -> Figure:
    """Milliseconds that a step of one member takes."""
    torch.set_num_threads(1)
    with computing("float32", deterministic=False) as dtype:
        members = plans(rows, "" if size is None else f", batch_size: {size}")
        parts = [build(plan, torch.device("cpu"), dtype) for plan in members]
        stack = StackedRuns(members, parts, [schedule(plan, rows) for plan in members])
        stack.measure(1)
        train: Any = parts[0].rows["train"]

        def stacked() -> float:
            begin = time.perf_counter()
            stack.take(n_steps).tolist()
            return (time.perf_counter() - begin) / n_steps / len(members) * 1000

        def solo() -> float:
            begin = time.perf_counter()
            by_hand(train.x, train.y, n_steps, size)
            return (time.perf_counter() - begin) / n_steps / BY_HAND * 1000

        found = alternate({"stacked": stacked, "solo": solo}, ROUNDS)
    what = f"step of a member of 64, {rows} rows, {'full batch' if size is None else f'batches of {size}'}"
    return Figure(what, "ms", found["stacked"], found["solo"], 0.5)


if __name__ == "__main__":
    steps, *sizes = map(int, sys.argv[1:] or ["20", "100", "1000"])
    show([*(measure(steps, rows) for rows in sizes), measure(steps, 1000, 32)])
