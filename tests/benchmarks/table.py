"""100,000 rows × 100 columns, MLP 100-256-256-1, batches of 256, against `DataLoader(shuffle=True)`:

    python tests/benchmarks/table.py [ROUNDS]

They take turns in one process, an eighth of an epoch at a time, so that every eighth turn draws a new order.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from jobs import load, per_step
from measure import Figure, alternate, show
from peers.dataloader_loop import THREADS, DataLoaderLoop

ROWS, COLUMNS, BATCH = 100_000, 100, 256
SPEC = f"""
version: 1
name: table
data:
  formula:
    rows: {ROWS}
    inputs:
{"".join(f"      x{column}: {{Normal: [0, 1]}}{chr(10)}" for column in range(COLUMNS))}
    targets: {{y: x0 * x1 + sin(x2) + x3**2}}
model: [{{Linear: 256}}, ReLU, {{Linear: 256}}, ReLU, {{Linear: 1}}]
loss: MSELoss
optimizer: {{Adam: {{lr: 1.0e-3}}}}
train: {{epochs: 1000, batch_size: {BATCH}}}
"""


def measure(rounds: int = 24) -> list[Figure]:
    """Milliseconds a step."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "table.yaml"
        spec.write_text(SPEC)
        ours = load(spec)
    peer = DataLoaderLoop(ours.rows.x, ours.rows.y, BATCH)
    steps = ours.steps_per_epoch // 8
    jobs = {
        "ours": lambda: per_step(ours.train, steps, ours.threads),
        "two": lambda: per_step(peer.train, steps, THREADS),
        "one": lambda: per_step(peer.train, steps, 1),
    }
    found = alternate(jobs, rounds)
    what = f"step of the 100,000 × 100 table (annpipe: threads {ours.threads}), against the loop with "
    return [
        Figure(f"{what}two threads", "ms", found["ours"], found["two"], 0.4),
        Figure(f"{what}one", "ms", found["ours"], found["one"], 0.4),
    ]


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
