"""How the program ends: at once, with its exit code, and with nothing lost on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import atexit, sys
import {module}
from annpipe.cli import main
atexit.register(lambda: print("a handler ran"))
sys.argv = ["annpipe", *{words!r}]
main()
"""


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
