"""What taking a choice of a shared sweep and telling how it ended cost: `python tests/benchmarks/choices.py [MOST]`.

An SQLite file, sweeps of 100, 1,000 and 5,000 trials, taken one at a time; nothing is trained. The time is the
processor's, so that neither other work nor the disk is in it (`TMPDIR=/dev/shm` spares its waits). The first choices
are those before which all others wait, the last ones those behind which all others are done: for them, sweeps of up to
MOST trials are taken to the end, 1,000 if left out. A grid's values are its own, those of `random` are drawn by
Optuna's sampler, which keeps them in the same file.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from measure import Figure, show

from annpipe.observer import SILENT
from annpipe.runs.spec_source import SpecSource
from annpipe.sweep.design import Design, design_sweep
from annpipe.sweep.optuna_study import Study
from annpipe.sweep.results.table import Result
from annpipe.sweep.storage import storage_of

COUNTS = (100, 1000, 5000)
EACH, MOST = 40, 1000  # choices of a figure; trials of a sweep that is taken to its end
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


def measure(most: int = MOST) -> list[Figure]:
    """Milliseconds of processor time a choice."""
    figures = []
    for method in ("grid", "random"):
        for count in COUNTS:
            with tempfile.TemporaryDirectory() as folder:
                each = _taken(Path(folder), method, count, count if count <= most else EACH)
            figures.append(Figure(f"{method}, {count:,} trials: the first {EACH}", "ms", each[:EACH], [], BAR_MS))
            if count <= most:
                figures.append(Figure(f"{method}, {count:,} trials: the last {EACH}", "ms", each[-EACH:], [], BAR_MS))
    return figures


def _taken(folder: Path, method: str, count: int, until: int) -> list[float]:
    """Milliseconds of processor time of each choice in turn."""
    (folder / "spec.yaml").write_text(SPEC.format(method=method, count=count), encoding="utf-8")
    design: Design = design_sweep(SpecSource(folder / "spec.yaml", ("sweep.batch=1",)), SILENT)
    study = Study(design, storage_of(f"sqlite:///{folder / 'study.db'}"), "choices", seed=0)
    each: list[float] = []
    while len(each) < until:
        begin = time.process_time()
        assert not study.is_over
        for choice in study.choose():
            study.record(choice, [Result(choice.first, choice.trials[0], None, "FINISHED", {"train/loss": 1.0})])
            study.results_of_others()
            each.append(1000 * (time.process_time() - begin))
    return each


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
