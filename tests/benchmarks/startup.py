"""How long until the command line answers: `python tests/benchmarks/startup.py [ROUNDS]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import SPEC, Figure, alternate, show, timed


def measure(rounds: int = 15) -> list[Figure]:
    """Seconds of whole processes; the wrong spec has two faults."""
    annpipe = Path(sys.executable).parent / "annpipe"  # the installed script, as a user calls it
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "wrong.yaml"
        wrong.write_text(SPEC.read_text().replace("Linear: 10\n", "Liner: 10\n").replace("lr:", "rate:"))
        jobs = {
            "help": lambda: timed([annpipe, "--help"], Path(folder)),
            "list": lambda: timed([annpipe, "list"], Path(folder)),
            "validate": lambda: timed([annpipe, "validate", wrong], Path(folder), expect=3),
        }
        found = alternate(jobs, rounds)
    return [
        Figure("`annpipe --help`", "s", found["help"], [], 0.3),
        Figure("`annpipe list`", "s", found["list"], [], 0.3),
        Figure("`annpipe validate` of a wrong spec", "s", found["validate"], [], 0.5),
    ]


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
