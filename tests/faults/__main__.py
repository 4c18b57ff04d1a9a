"""The long form of the faults, `python -m tests.faults [--flips N]`, with hits and losses; exit code 1 after a loss.

Every kill, every disk that refuses, and N flipped bits (300) in each kind of file. `pytest tests/faults` is the short
form, `pytest -m soak tests/faults` this one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.flips import flipped
from tests.faults.injector import Injector
from tests.faults.scenes import ACTS, Stage, play
from tests.faults.zygote import Zygote


def main() -> int:
    """Plays everything once."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--flips", type=int, default=300, metavar="N", help="bits flipped in each kind of file")
    asked = parser.parse_args()
    faults = Injector(*(fault.name for _, faults in ACTS for fault in faults))
    with Zygote() as zygote, tempfile.TemporaryDirectory(prefix="faults-") as place:
        stage = Stage(Path(place), zygote, faults)
        play(stage, ACTS)
        print(f"kills and disks\n{faults.report()}\n", flush=True)
        bits = flipped(stage, zygote, Path(place), asked.flips)
        print(f"flipped bits\n{bits.report()}")
    try:
        faults.check()
        bits.check()
    except AssertionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
