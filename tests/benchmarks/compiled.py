"""A compiled step of the seed job against a loop by hand and JAX: `python tests/benchmarks/compiled.py [ROUNDS]`.

They take turns in one process, 200 steps at a time: annpipe and the loop with one thread, JAX with as many as it takes.
What compiling took is shown apart; a second run of the script has the code in the cache folder. JAX is left out
where it is not installed (`pip install jax`).
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from jobs import load, per_step
from measure import SPEC, Figure, alternate, show
from peers.bare_loop import BareLoop, make_data

from annpipe.train.gears.shifting import Shifting

STEPS = 200


def measure(rounds: int = 30) -> list[Figure]:
    """Milliseconds a step."""
    job = load(SPEC)
    torch.set_num_threads(1)
    plan = replace(job.plan, device=job.plan.device.model_copy(update={"compile": "on"}))
    gear = Shifting(plan, job.parts, job.schedule, lambda shift: print(f"{shift.message}\n"))
    gear.advance(1)
    begin = time.perf_counter()
    gear.advance(gear.pause_after(STEPS))
    print(f"the shift to compiled steps, its check and {STEPS} steps: {time.perf_counter() - begin:.1f} s")
    x, y = make_data()
    bare = BareLoop(x, y)
    jobs: dict[str, Callable[[], float]] = {
        "ours": lambda: per_step(lambda n: gear.advance(gear.pause_after(n)).tolist(), STEPS, 1),
        "hand": lambda: per_step(bare.train, STEPS, 1),
    }
    if importlib.util.find_spec("jax"):
        from peers.jax_scan import JaxScan

        scan = JaxScan(x.numpy(), y.numpy(), STEPS)

        def by_scan() -> float:
            start = time.perf_counter()
            scan.train()
            return (time.perf_counter() - start) / STEPS * 1000

        jobs["jax"] = by_scan
    else:
        print("jax is not installed: it is left out")
    found = alternate(jobs, rounds)
    what = "compiled step of the seed job, 1 thread, against"
    figures = [Figure(f"{what} the loop with one thread", "ms", found["ours"], found["hand"], 0.35)]
    if "jax" in found:
        figures.append(Figure(f"{what} JAX's jit of a scan", "ms", found["ours"], found["jax"], 0.8))
    return figures


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
