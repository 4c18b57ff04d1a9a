"""Finds the device of a run, its precision, and the number of threads it computes with."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from annpipe.errors import Place, Problem, SpecError

ROUNDS = 5
TURN_STEPS = 5  # at most, and fewer where they would take longer than TURN_SECONDS
TURN_SECONDS = 0.05
MEASURE_SECONDS = 1.0  # no further round begins after so long
FAR_BEHIND = 3.0
NEEDED_GAIN = 1.25  # what more threads must gain: they wait for each other whenever a core is busy elsewhere


def find_device(word: str, place: Place | None = None) -> torch.device:
    """`auto` is CUDA, then MPS, then the CPU; a device that is not there is a SpecError at `place`."""
    has_mps = torch.backends.mps.is_available()
    if word == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    device = torch.device(word)
    count = {"cuda": torch.cuda.device_count(), "mps": int(has_mps), "cpu": 1}[device.type]
    if (device.index or 0) >= count:
        here = ["cpu", *(["mps"] if has_mps else []), *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
        message = f"there is no device '{word}' on this machine"
        raise SpecError([Problem("no-such-device", message, place, f"there is {', '.join(here)}; auto takes the best")])
    return device


@contextmanager
def computing(precision: str, *, deterministic: bool) -> Iterator[torch.dtype]:
    """Inside, new float tensors have the run's precision, and only deterministic kernels run when asked."""
    dtype = {"float32": torch.float32, "float64": torch.float64}[precision]
    before = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
    torch.set_default_dtype(dtype)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    try:
        yield dtype
    finally:
        torch.set_default_dtype(before[0])
        if torch.are_deterministic_algorithms_enabled() != before[1]:  # to say it loads the compiler
            torch.use_deterministic_algorithms(before[1])


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes with one thread: sums have one order, and short operations wait for nobody."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measured_threads(steps: Callable[[int], object]) -> tuple[int, dict[int, float]]:
    """The fastest number of CPU threads for `steps(n)`, and the seconds a step took with each candidate.

    Candidates are one thread, all cores, and the powers of two between. They take turns, and the median round counts:
    other work on the machine hits all of them alike. One thread wins unless more gain at least a quarter; a candidate
    that falls far behind it is out at once, since on a busy machine its steps may take a hundred times as long.
    """
    cores = available_cores()
    candidates = sorted({1, cores, *(n for n in (2, 4, 8, 16, 32, 64) if n < cores)})
    if len(candidates) == 1:
        return 1, {}
    rounds: dict[int, list[float]] = {threads: [] for threads in candidates}
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        for threads in candidates:
            rounds[threads].append(_turn(steps, threads))
        candidates = [n for n in candidates if n == 1 or rounds[n][-1] < FAR_BEHIND * rounds[1][-1]]
        if len(candidates) == 1 or time.perf_counter() - begin > MEASURE_SECONDS:
            break
    seconds = {threads: statistics.median(times) for threads, times in rounds.items()}
    best = min(candidates, key=lambda threads: seconds[threads] * (1.0 if threads == 1 else NEEDED_GAIN))
    torch.set_num_threads(best)
    return best, seconds


def _turn(steps: Callable[[int], object], threads: int) -> float:
    """The seconds a step takes with so many threads, after one that wakes them."""
    torch.set_num_threads(threads)
    begin = time.perf_counter()
    steps(1)
    awake = time.perf_counter()
    n_steps = max(1, min(TURN_STEPS, int(TURN_SECONDS / max(awake - begin, 1e-9))))
    steps(n_steps)
    return (time.perf_counter() - awake) / n_steps


def clock(device: torch.device) -> float:
    """The seconds of a clock, read once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def processor(device: torch.device) -> str:
    """What computes there: the name of the accelerator, or the instructions that the CPU has."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability()


def available_cores() -> int:
    """The cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1
