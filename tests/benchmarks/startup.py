"""How long until the command line answers: `python tests/benchmarks/startup.py [ROUNDS]`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from measure import ROOT, SPEC, Figure, alternate, show, timed

TAB = {"_ANNPIPE_COMPLETE": "bash_complete", "COMP_WORDS": "annpipe show optimizer A", "COMP_CWORD": "3"}


def measure(rounds: int = 15) -> list[Figure]:
    """Seconds of whole processes; the wrong spec has two faults, the hundred right ones are those of the gallery."""
    annpipe = Path(sys.executable).parent / "annpipe"  # the installed script, as a user calls it
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "wrong.yaml"
        wrong.write_text(SPEC.read_text().replace("Linear: 10\n", "Liner: 10\n").replace("lr:", "rate:"))
        hundred = _hundred(Path(folder) / "hundred")
        jobs = {
            "help": lambda: timed([annpipe, "--help"], Path(folder)),
            "list": lambda: timed([annpipe, "list"], Path(folder)),
            "validate": lambda: timed([annpipe, "validate", wrong], Path(folder), expect=3),
            "schema": lambda: timed([annpipe, "schema"], Path(folder)),
            "tab": lambda: timed([annpipe], Path(folder), **TAB),
        }
        found = alternate(jobs, rounds)
        many = alternate({"hundred": lambda: timed([annpipe, "validate", *hundred], Path(folder))}, max(3, rounds // 3))
    return [
        Figure("`annpipe --help`", "s", found["help"], [], 0.3),
        Figure("`annpipe list`", "s", found["list"], [], 0.3),
        Figure("`annpipe validate` of a wrong spec", "s", found["validate"], [], 0.5),
        Figure("`annpipe validate` of 100 right specs, shapes included", "s", many["hundred"], [], 5.0),
        Figure("`annpipe schema`", "s", found["schema"], [], 0.5),
        Figure("Tab behind `annpipe show optimizer A`", "s", found["tab"], [], 0.2),
    ]


def _hundred(folder: Path) -> list[Path]:
    """The specs of the gallery, each several times under another name."""
    gallery = sorted((ROOT / "pipelines").glob("*.yaml"))
    shutil.copytree(ROOT / "pipelines", folder)  # tables and plugins lie beside them
    specs = [folder / f"{number}_{gallery[number % len(gallery)].name}" for number in range(100)]
    for number, spec in enumerate(specs):
        spec.write_text(gallery[number % len(gallery)].read_text(encoding="utf-8"), encoding="utf-8")
    return specs


if __name__ == "__main__":
    show(measure(*map(int, sys.argv[1:])))
