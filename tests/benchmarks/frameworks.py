"""annpipe beside Lightning, skorch and Keras: `python tests/benchmarks/frameworks.py [ROUNDS]`.

The seed job (full batches of 1000 rows) and a table of 20,000 × 100 (MLP 100-256-256-1, batches of 256), the time of a
step. All take turns in one process, and have the threads that annpipe measured or two, whichever is faster for them.
What is not installed says so; `pip install lightning skorch keras` brings them, and Keras on JAX is
`KERAS_BACKEND=jax python tests/benchmarks/frameworks.py` behind `pip install jax`.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import table
import torch
from jobs import Job, load, per_step
from measure import SPEC, Figure, alternate, show

TABLE_ROWS = 20_000
THREADS = (1, 2)


def network(widths: list[int]) -> torch.nn.Sequential:
    """Linear layers of these widths with ReLU between them."""
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def peers(widths: list[int], loss: torch.nn.Module, keras_loss: str, lr: float, job: Job, batch: int) -> dict[str, Any]:
    """What is installed, by name; the rest is said."""
    rows: Any = job.rows
    found: dict[str, Any] = {}
    for name, module in (("Lightning", "lightning_fit"), ("skorch", "skorch_fit"), ("Keras", "keras_fit")):
        try:
            peer = importlib.import_module(f"peers.{module}")
        except ImportError as error:
            print(f"{name}: not installed ({error})")
            continue
        if name == "Keras":
            found[f"Keras on {peer.BACKEND}"] = peer.KerasFit(widths[1:], keras_loss, lr, rows.x, rows.y, batch)
        else:
            fit = peer.LightningFit if name == "Lightning" else peer.SkorchFit
            found[name] = fit(network(widths), loss, lr, rows.x, rows.y, batch)
    return found


def compare(what: str, job: Job, found: dict[str, Any], epochs: int, rounds: int) -> list[Figure]:
    """Milliseconds a step of each, against ours."""
    steps = job.steps_per_epoch * epochs
    jobs: dict[str, Callable[[], float]] = {"ours": lambda: per_step(job.train, steps, job.threads)}
    for name, peer in found.items():
        jobs[name] = lambda peer=peer: min(_timed(peer, epochs, steps, threads) for threads in THREADS)
    seconds = alternate(jobs, rounds)
    return [Figure(f"{what}, against {name}", "ms", seconds["ours"], seconds[name], 1.0) for name in found]


def _timed(peer: Any, epochs: int, steps: int, threads: int) -> float:
    torch.set_num_threads(threads)
    return float(peer.train(epochs)) / steps * 1000


def measure(rounds: int = 5) -> list[Figure]:
    """Both jobs against whoever is there."""
    seed = load(SPEC)
    found = peers([1, 100, 10, 6, 1], torch.nn.L1Loss(), "mae", 2e-4, seed, 1000)
    figures = compare("step of the seed job", seed, found, 100, rounds)
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "table.yaml"
        spec.write_text(table.SPEC.replace(f"rows: {table.ROWS}", f"rows: {TABLE_ROWS}"))
        job = load(spec)
    found = peers([100, 256, 256, 1], torch.nn.MSELoss(), "mse", 1e-3, job, table.BATCH)
    return figures + compare("step of the 20,000 × 100 table", job, found, 1, rounds)


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
