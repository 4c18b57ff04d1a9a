"""Sweeps as a user runs them, recorded, against loops by hand: `python tests/benchmarks/stacked_jobs.py [ROUNDS]`.

    seed network   8 learning rates × 8 seeds, 1000 epochs of full batches of 1000 rows
    classifier     8 learning rates × 8 seeds of 2-64-64-2, 20 epochs of 2000 rows in batches of 64

Ours is the whole command `annpipe sweep`, from the start of its process until MLflow's store has all trials, in a fresh
project; and `annpipe.run_sweep` in a process that has imported torch, as the loops by hand have, from its call until it
gives the results, plans, journals, checkpoints, models and figures included: MLflow's store is filled beside it and
behind it. A loop by hand records nothing; two of them are timed, with one thread and with two, and 64 times the faster
one is the peer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import torch
from measure import SPEC, Figure, alternate, show, timed
from peers.bare_loop import BareLoop, make_data
from peers.classifier_loop import ClassifierLoop

import annpipe
from annpipe.record.journal.state import is_recorded

TRIALS, BY_HAND = 64, 2
OVER = {"optimizer.Adam.lr": [1e-4 * 2**power for power in range(8)], "seed": list(range(8))}
CLASSIFIER = """
version: 1
name: classifier
data: {sklearn: {make: moons, options: {n_samples: 2000, noise: 0.2}}}
model: [Linear: 64, ReLU, Linear: 64, ReLU, Linear: 2]
loss: CrossEntropyLoss
optimizer: {Adam: {lr: 1.0e-3}}
train: {epochs: 20, batch_size: 64}
"""


def recorded(text: str, *settings: str) -> float:
    """Seconds of the command."""
    with tempfile.TemporaryDirectory() as project:
        Path(project, "spec.yaml").write_text(text)
        over = [word for path, values in OVER.items() for word in ("--over", f"{path}={','.join(map(str, values))}")]
        said = [word for one in (*settings, "tracking.wait_seconds=900") for word in ("--set", one)]
        return timed([sys.executable, "-m", "annpipe", "sweep", "spec.yaml", *over, *said], Path(project))


def trained(text: str, *settings: str) -> float:
    """Seconds of the call; what MLflow has not yet is waited for afterwards, so that it disturbs nobody."""
    with tempfile.TemporaryDirectory() as project, chdir(project):
        Path("spec.yaml").write_text(text)
        begin = time.perf_counter()
        end = annpipe.run_sweep("spec.yaml", over=OVER, overrides=[*settings, "tracking.wait_seconds=0"])
        seconds = time.perf_counter() - begin
        while not is_recorded(end.folder):
            time.sleep(0.2)
        return seconds


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
    seed = "train.epochs=1000"
    x, y = make_data()
    seeds = {
        "recorded": lambda: recorded(SPEC.read_text(), seed),
        "trained": lambda: trained(SPEC.read_text(), seed),
        "hand": lambda: by_hand(lambda: BareLoop(x, y).train(1000)),
    }
    classes = {
        "recorded": lambda: recorded(CLASSIFIER),
        "trained": lambda: trained(CLASSIFIER),
        "hand": lambda: by_hand(lambda: ClassifierLoop().train(20)),
    }
    figures = []
    for what, jobs, bar in (("seed network, 1000 epochs", seeds, 0.35), ("classifier 2-64-64-2", classes, 0.12)):
        found = alternate(jobs, rounds)
        for how, said in (("recorded", "whole command, recorded"), ("trained", "`run_sweep`")):
            figures.append(Figure(f"64 trials of the {what}, {said}", "s", found[how], found["hand"], bar))
    return figures


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
