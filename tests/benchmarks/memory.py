"""Peak memory of the trainer on the seed job against the bare script: `python tests/benchmarks/memory.py [ROUNDS]`.

Each process tells its own VmHWM as it ends (Linux): children, such as the shipper, are not in it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from measure import PEERS, SPEC, Figure, alternate, environment, show

_TELLING = """
import atexit, os, runpy
def tell():
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    os.write(2, ("\\n" + peak).encode())
atexit.register(tell)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def measure(rounds: int = 3) -> list[Figure]:
    """MiB at the highest point."""
    annpipe = Path(sys.executable).parent / "annpipe"
    jobs = {"ours": lambda: _peak(annpipe, "run", SPEC), "bare": lambda: _peak(PEERS / "bare_loop.py")}
    found = alternate(jobs, rounds)
    return [Figure("peak memory of the trainer, seed job", "MiB", found["ours"], found["bare"], 1.5)]


def _peak(script: Path, *arguments: str | Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return resident(script, *arguments, cwd=Path(folder))


def resident(script: Path, *arguments: str | Path, cwd: Path, **also: str) -> float:
    """MiB that a script had at its highest point, without its children; `also` goes into its environment."""
    code = f"import sys; sys.argv = {[str(script), *map(str, arguments)]!r}{_TELLING}"
    own = environment() | also
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=own, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{script} ended with {done.returncode}:\n{done.stderr}")
    return int(done.stderr.rsplit("VmHWM:", 1)[1].split()[0]) / 1024


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
