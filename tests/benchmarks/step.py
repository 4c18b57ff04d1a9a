"""A step of the seed job, eager gear, against a hand-written loop: `python tests/benchmarks/step.py [ROUNDS]`.

They take turns in one process, 100 steps at a time: annpipe with the threads it chose, the loop with two, as torch has
it on two cores. The loop with one thread is shown too: on a busy machine two threads wait for each other, and a ratio
to that says nothing.
"""

from __future__ import annotations

import sys

from jobs import load, per_step
from measure import SPEC, Figure, alternate, show
from peers.bare_loop import THREADS, BareLoop, make_data

STEPS = 100


def measure(rounds: int = 60) -> list[Figure]:
    """Milliseconds a step."""
    ours, bare = load(SPEC), BareLoop(*make_data())
    jobs = {
        "ours": lambda: per_step(ours.train, STEPS, ours.threads),
        "two": lambda: per_step(bare.train, STEPS, THREADS),
        "one": lambda: per_step(bare.train, STEPS, 1),
    }
    found = alternate(jobs, rounds)
    what = f"step of the seed job (annpipe: threads {ours.threads}), against the loop with "
    return [
        Figure(f"{what}two threads", "ms", found["ours"], found["two"], 0.6),
        Figure(f"{what}one", "ms", found["ours"], found["one"], 0.6),
    ]


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
