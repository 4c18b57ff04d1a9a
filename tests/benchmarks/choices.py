"""What it costs to take a choice of a shared sweep and to tell how it ended: `python tests/benchmarks/choices.py [N…]`.

An SQLite file, sweeps of 100, 1,000 and 5,000 trials, each taken one at a time to the end; nothing is trained. The time
is the processor's, so that neither other work nor the disk is in it (`TMPDIR=/dev/shm` spares its waits). The first
choices are those before which all others wait, the last ones those behind which all others are done. A grid's values
are its own, those of `random` are drawn by Optuna's sampler, which keeps them in the same file.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from measure import Figure, show

from annpipe.launch import Silent
from annpipe.sweep.design import Design, designed
from annpipe.sweep.storage import storage_of
from annpipe.sweep.study import Study
from annpipe.sweep.table import Result
from annpipe.sweep.trials import Request

COUNTS = (100, 1000, 5000)
EACH = 40  # choices of a figure
BAR_MS = 50.0
SPEC = """
version: 1
name: choices
device: {{type: cpu, threads: 1}}
data: {{formula: {{rows: 20, inputs: {{x: {{Uniform: [-1, 1]}}}}, targets: {{y: x**2}}}}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {{SGD: {{lr: 1e-3}}}}
train: {{epochs: 1}}
sweep: {{method: {method}, trials: {count}, over: {{optimizer.SGD.lr: {{log_uniform: [1e-4, 1e-1]}}}}}}
"""


def measure(counts: tuple[int, ...] = COUNTS) -> list[Figure]:
    """Milliseconds of processor time a choice."""
    figures = []
    for method in ("grid", "random"):
        for count in counts:
            with tempfile.TemporaryDirectory() as folder:
                opened, each = _taken(Path(folder), method, count)
            figures.append(Figure(f"{method}, {count:,} trials: opened and begun", "ms", [opened], [], 2000.0))
            for name, some in (("first", each[:EACH]), ("last", each[-EACH:])):
                figures.append(Figure(f"{method}, {count:,} trials: the {name} {EACH}", "ms", some, [], BAR_MS))
    return figures


def _taken(folder: Path, method: str, count: int) -> tuple[float, list[float]]:
    """Milliseconds of processor time to open the storage with its study, and of each choice in turn."""
    (folder / "spec.yaml").write_text(SPEC.format(method=method, count=count), encoding="utf-8")
    design: Design = designed(Request(folder / "spec.yaml", ("sweep.batch=1",)), Silent())
    begin = time.process_time()
    study = Study(design, storage_of(f"sqlite:///{folder / 'study.db'}"), "choices", seed=0)
    opened, each = 1000 * (time.process_time() - begin), []
    while True:
        begin = time.process_time()
        if study.is_over:
            return opened, each
        for choice in study.choose():
            results = [Result(choice.first, choice.trials[0], None, "FINISHED", {"train/loss": 1.0})]
            study.told(choice, results)
            study.of_others()
            each.append(1000 * (time.process_time() - begin))


if __name__ == "__main__":
    show(measure(tuple(map(int, sys.argv[1:])) or COUNTS))
