"""Rows that are not held in memory: `python tests/benchmarks/larger_than_memory.py [ROWS] [FOLDER]` (Linux).

Writes a Parquet file of ROWS × 100 (10,000,000 if left out: 4 GB, and as much again for the rows as they are trained
on) into a temporary folder inside FOLDER, and deletes it at the end. Then it tells

- the most that was resident in `annpipe run` with `in_memory: false`, as `/usr/bin/time -v` does, for a first run and
  for a second one that finds the rows as they were left;
- the seconds of an epoch from files against one of the same rows held in memory, in the same gear, by turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jobs import load
from measure import Figure, alternate, show
from memory import resident
from pyarrow import parquet

from annpipe.datasets.steps.tensors import Rows
from annpipe.train.gears.eager.gear import Eager

COLUMNS = 100
PIECE = 100_000  # rows that are made at a time
SPEC = """version: 1
name: larger_than_memory
data:
  parquet: {files: rows.parquet, target: y, in_memory: false}
  transforms: {number: standardize}
  split: {val: 0.05}
model: [Linear: 128, ReLU, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 1e-3}}
train: {epochs: 1, batch_size: 1024}
"""


def generate(file: Path, rows: int) -> None:
    """Writes numbers drawn piece by piece, and a target that follows from a few of them."""
    random = np.random.default_rng(0)
    names = [f"x{number}" for number in range(COLUMNS)]
    schema = pa.schema([pa.field(name, pa.float32()) for name in [*names, "y"]])
    with parquet.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        for begin in range(0, rows, PIECE):
            x = random.standard_normal((COLUMNS, min(PIECE, rows - begin)), dtype=np.float32)
            y = x[0] * x[1] + x[2] - np.sin(x[3])
            writer.write_table(pa.Table.from_arrays([pa.array(column) for column in [*x, y]], schema=schema))


def peak(folder: Path) -> float:
    """GB that were resident in a run at the highest point, its shipper apart."""
    begin = time.perf_counter()
    found = resident(
        Path(sys.executable).parent / "annpipe", "run", "spec.yaml", cwd=folder, XDG_CACHE_HOME=str(folder)
    )
    print(f"a run took {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return found * 2**20 / 1e9


def epochs(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of an epoch from files, and of one in memory."""
    os.environ["XDG_CACHE_HOME"] = str(folder)
    job = load(folder / "spec.yaml")
    torch.set_num_threads(job.threads)
    kept = job.rows
    held = Rows(*(torch.cat(parts) for parts in zip(*kept.iter_chunks(65_536), strict=True)))
    rows = {"files": kept, "memory": held}
    gears = {name: Eager(job.plan, replace(job.parts, rows={"train": one}), job.schedule) for name, one in rows.items()}

    def epoch(gear: Eager) -> float:
        begin = time.perf_counter()
        for done in range(0, job.steps_per_epoch, 256):
            gear.advance(min(256, job.steps_per_epoch - done)).tolist()
        return time.perf_counter() - begin

    return alternate({name: lambda gear=gear: epoch(gear) for name, gear in gears.items()}, rounds)


def measure(rows: int = 10_000_000, home: str | None = None, rounds: int = 3) -> list[Figure]:
    """The peaks in GB, and the ratio of epochs."""
    with tempfile.TemporaryDirectory(dir=home) as name:
        folder = Path(name)
        generate(folder / "rows.parquet", rows)
        (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
        size = f"{rows:,} × {COLUMNS}"
        first, second = peak(folder), peak(folder)
        seconds = epochs(folder, rounds)
        return [
            Figure(f"peak memory of the first run of {size}", "GB", [first], [], 2.0),
            Figure("peak memory of a second run", "GB", [second], [], 2.0),
            Figure(f"an epoch of {size} from files", "s", seconds["files"], seconds["memory"], 1.3),
        ]


if __name__ == "__main__":
    show(measure(*(int(word) if word.isdecimal() else word for word in sys.argv[1:])))
