"""Sweeps as a user runs them, recorded, against loops by hand: `python tests/benchmarks/stacked_jobs.py [ROUNDS]`.

    seed network   8 learning rates × 8 seeds, 1000 epochs of full batches of 1000 rows
    classifier     8 learning rates × 8 seeds of 2-64-64-2, 20 epochs of 2000 rows in batches of 64

Ours is the whole command `annpipe sweep`, from the start of its process until MLflow's store has all trials, in a fresh
project, and the same without the wait for the record. A loop by hand records nothing and is in a process that has
imported torch already; two of them are timed, with one thread and with two, and 64 times the faster one is the peer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measure import SPEC, Figure, alternate, show, timed
from peers.bare_loop import BareLoop, make_data
from peers.classifier_loop import ClassifierLoop

TRIALS, BY_HAND = 64, 2
RATES = ",".join(f"{1e-4 * 2**power:g}" for power in range(8))
CLASSIFIER = """
version: 1
name: classifier
data: {sklearn: {make: moons, options: {n_samples: 2000, noise: 0.2}}}
model: [Linear: 64, ReLU, Linear: 64, ReLU, Linear: 2]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 1.0e-3}}
train: {epochs: 20, batch_size: 64}
"""


def sweep(text: str, wait_seconds: int, *words: str) -> float:
    """Seconds of the command."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a shipper may write on
        project = Path(folder)
        (project / "spec.yaml").write_text(text)
        over = ["--over", f"optimizer.Adam.lr={RATES}", "--over", "seed=0..7"]
        settings = ["--set", f"tracking.wait_seconds={wait_seconds}", *words]
        return timed([sys.executable, "-m", "annpipe", "sweep", "spec.yaml", *over, *settings], project)


def by_hand(train: Callable[[], object]) -> float:
    """Seconds of 64 loops, of which two are run with each number of threads."""
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        begin = time.perf_counter()
        for _ in range(BY_HAND):
            train()
        found.append((time.perf_counter() - begin) / BY_HAND)
    return TRIALS * min(found)


def measure(rounds: int = 3) -> list[Figure]:
    """Seconds of all 64."""
    seed = ("--set", "train.epochs=1000")
    x, y = make_data()
    seeds = {
        "recorded": lambda: sweep(SPEC.read_text(), 900, *seed),
        "trained": lambda: sweep(SPEC.read_text(), 0, *seed),
        "hand": lambda: by_hand(lambda: BareLoop(x, y).train(1000)),
    }
    classes = {
        "recorded": lambda: sweep(CLASSIFIER, 900),
        "trained": lambda: sweep(CLASSIFIER, 0),
        "hand": lambda: by_hand(lambda: ClassifierLoop().train(20)),
    }
    figures = []
    for what, jobs, bar in (("seed network, 1000 epochs", seeds, 0.35), ("classifier 2-64-64-2", classes, 0.12)):
        found = alternate(jobs, rounds)
        for how, said in (("recorded", "recorded"), ("trained", "without the wait for the record")):
            figures.append(Figure(f"64 trials of the {what}, {said}", "s", found[how], found["hand"], bar))
    return figures


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
