"""What the benchmarks share: medians of alternating rounds, and how they are shown."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SPEC = ROOT / "pipelines" / "quadratic.yaml"
PEERS = HERE / "peers"


@dataclass(frozen=True)
class Figure:
    """One line of the table. `peer` is empty where the bar is a number of seconds and not a ratio."""

    what: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float]
    bar: float

    @property
    def value(self) -> float:
        """What the bar is held against: the ratio of the medians, or our median."""
        mine = statistics.median(self.ours)
        return mine / statistics.median(self.peer) if self.peer else mine

    def line(self) -> str:
        """The figure as a row of a Markdown table."""
        verdict = "holds" if self.value <= self.bar else "**missed**"
        bar = f"≤ {self.bar:g}{' ×' if self.peer else ' ' + self.unit}"
        value = f"{self.value:.2f}{' ×' if self.peer else ''}"
        return (
            f"| {self.what} | {_spread(self.ours)} | {_spread(self.peer)} | {self.unit} | {value} | {bar} | {verdict} |"
        )


def _spread(values: Sequence[float]) -> str:
    """Median, and from the least to the greatest."""
    if not values:
        return "–"
    digits = 3 if statistics.median(values) < 10 else 1
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def show(figures: Sequence[Figure]) -> None:
    """Prints the table, and the machine it was measured on."""
    print("| what | annpipe: median (spread) | peer: median (spread) | unit | value | bar | |")
    print("|---|---|---|---|---|---|---|")
    for figure in figures:
        print(figure.line())
    print(f"\n{machine()}")


def machine() -> str:
    """Cores, system and versions in one line."""
    cores = len(os.sched_getaffinity(0))
    names = ("torch", "mlflow", "numpy", "matplotlib")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}, {versions}; {load}"


def alternate(jobs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each job, which take turns; a first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            value = job()
            if number:
                seconds[name].append(value)
    return seconds


def timed(command: Sequence[str | Path], cwd: Path, expect: int = 0, **also: str) -> float:
    """Wall seconds of a process from start to end; no environment but `also` decides where things go."""
    begin = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment() | also, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode != expect:
        sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def environment() -> dict[str, str]:
    """The environment without settings of MLflow and annpipe, which must not differ between machines.

    Nor may Python be kept from writing bytecode, as an installer does: each round would compile torch and MLflow anew.
    """
    ours = ("MLFLOW", "ANNPIPE", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}
