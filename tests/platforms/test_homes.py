"""A user without a home, as in a container whose user id has no name, trains and records all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from annpipe.files.private import cache_folder, private_folder
from annpipe.record.journal.state import is_recorded

HOMELESS = """
import pwd, sys

def unknown(*_):
    raise KeyError("uid not found")

pwd.getpwuid = pwd.getpwnam = unknown
from annpipe.cli import main
main()
"""
SPEC = """
version: 1
name: homeless
data: {formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: x**2}}}
model: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.01}}
train: {epochs: 2}
"""


def test_without_a_home_there_is_no_folder_of_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks for it gets the error of the system, as in a home that cannot be written."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert not cache_folder().exists()
    with pytest.raises(NotADirectoryError):
        private_folder(cache_folder())


@pytest.mark.slow
def test_without_a_home_a_run_is_recorded(tmp_path: Path) -> None:
    """MLflow is not imported without one, so it gets the name of one."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    names = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HOMELESS, "run", "spec.yaml"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = tmp_path.glob("runs/*")
    assert is_recorded(run), done.stdout
