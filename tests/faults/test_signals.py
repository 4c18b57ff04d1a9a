"""Signals that end a run: it stops after the present step, says so by its exit code, and goes on exactly."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from annpipe.record.journal import journal
from tests.faults.injector import ROOT, Fault, Injector
from tests.faults.scenes import JOURNAL, SPEC, Outcome, Stage
from tests.faults.zygote import Zygote


@pytest.mark.parametrize(("name", "code"), [("SIGHUP", 129), pytest.param("SIGTERM", 143, marks=pytest.mark.slow)])
def test_a_run_that_is_asked_to_stop_goes_on_exactly(stage: Stage, zygote: Zygote, name: str, code: int) -> None:
    """A closed terminal is as SIGTERM: the exit code is 128 and the signal, the status KILLED."""
    injector = Injector(name)
    project = stage.project()
    struck = Fault(name, "write", JOURNAL, name, at=30)
    done = zygote.run(project, "run", "spec.yaml", faults=[struck], injector=injector)
    injector.check()
    run = stage.run_of(project)
    assert done.code == code, done.said
    assert journal.status(run) == "KILLED"
    assert "stopped after step" in done.said
    resumed = zygote.run(project, "resume", "--last", faults=[Fault("again", "write", JOURNAL, name, at=20)])
    assert resumed.code == code, resumed.said
    resumed = zygote.run(project, "resume", "--last")
    assert resumed.code == 0, resumed.said
    assert Outcome.of(run) == stage.reference


def test_a_run_under_nohup_hears_of_no_closed_terminal(stage: Stage, zygote: Zygote) -> None:
    """A SIGHUP that is ignored from the start stays ignored."""
    injector = Injector("SIGHUP")
    project = stage.project()
    struck = Fault("SIGHUP", "write", JOURNAL, "SIGHUP", at=30, times=3)
    done = zygote.run(project, "run", "spec.yaml", faults=[struck], injector=injector, nohup=True)
    injector.check()
    assert done.code == 0, done.said
    assert Outcome.of(stage.run_of(project)) == stage.reference


def test_a_sweep_hears_of_a_closed_terminal(stage: Stage, zygote: Zygote) -> None:
    """Its trials are stopped, and it ends with 129."""
    injector = Injector("SIGHUP")
    project = stage.project()
    struck = Fault("SIGHUP", "write", r"struck-2.*journal", "SIGHUP", at=40)
    axis = "optimizer.Adam.lr=0.01,0.02"
    done = zygote.run(project, "sweep", "spec.yaml", "--over", axis, faults=[struck], injector=injector)
    injector.check()
    assert done.code == 129, done.said
    assert {journal.status(run) for run in (project / "runs").iterdir()} == {"KILLED"}


COMMAND = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
from annpipe.cli import main
from tests.conftest import unrecorded
with unrecorded():
    main()
"""


@pytest.mark.slow
def test_a_terminal_that_goes_away_leaves_a_run_to_be_resumed(stage: Stage, zygote: Zygote, tmp_path: Path) -> None:
    """The kernel's own SIGHUP, with a bar on a terminal that answers nothing but errors from then on."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace("epochs: 60", "epochs: 200000"))
    above, below = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", COMMAND, "run", "spec.yaml"],
        cwd=tmp_path, stdin=below, stdout=below, stderr=below, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(below)
    try:
        deadline = time.monotonic() + 300
        while not any(file.read_text().count("\n") > 20 for file in tmp_path.glob(f"runs/*/{journal.FILE}")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            os.set_blocking(above, False)
            try:
                os.read(above, 65536)  # as a terminal would
            except BlockingIOError:
                time.sleep(0.02)
        os.close(above)
        assert process.wait(300) == 128 + signal.SIGHUP
    finally:
        process.kill()
        process.wait()
    run = stage.run_of(tmp_path)
    assert journal.status(run) == "KILLED"
    assert not (run / "artifacts" / "error.txt").exists()
