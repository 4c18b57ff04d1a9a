"""How the program ends: at once, with its exit code, and with nothing lost on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CliHere

SCRIPT = """
import atexit, sys
import {module}
from annpipe.cli import main
atexit.register(lambda: print("a handler ran"))
sys.argv = ["annpipe", *{words!r}]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["torch", "json"])
@pytest.mark.parametrize(
    ("words", "code", "said"), [(["--help"], 0, "Commands"), (["validate", "nowhere.yaml"], 3, "")]
)
def test_output_and_exit_handlers_come_through(
    tmp_path: Path, module: str, words: list[str], code: int, said: str
) -> None:
    """Whether torch has to be taken apart or not, a pipe gets every line and exit handlers run."""
    script = SCRIPT.format(module=module, words=words)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stdout
    assert done.stdout.endswith("a handler ran\n")


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)])
def test_streams_that_were_closed_lead_nowhere(tmp_path: Path, closed: str, code: int) -> None:
    """The command does its work, and no file that it opens takes the place of one of them."""
    (tmp_path / "script.py").write_text(
        "import os, sys\nfrom annpipe.cli import main\nsys.argv = ['annpipe', 'list', 'loss']\n"
        "import annpipe.cli as cli\ntrue = cli.outcome\n"
        "def outcome():\n    with open('seen', 'w') as file:\n"
        "        file.write(str(file.fileno()))\n    return true()\n"
        "cli.outcome = outcome\nmain()\n"
    )
    command = f"exec {sys.executable} script.py {closed}"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == code
    assert int((tmp_path / "seen").read_text()) > 2


@pytest.mark.parametrize("rates", [["--from", "nan"], ["--to", "inf"], ["--to", "nan"]])
def test_rates_that_are_no_numbers_are_refused(rates: list[str], annpipe_here: CliHere, tmp_path: Path) -> None:
    """They compare with nothing, and a test of them would say that no rate is any good."""
    (tmp_path / "spec.yaml").touch()
    code, _, said = annpipe_here("lr", "spec.yaml", *rates)
    assert (code, "both be finite" in said) == (2, True), said
