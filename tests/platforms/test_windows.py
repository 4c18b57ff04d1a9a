"""What a Windows lacks is not missed: every module is imported and the main path run where annpipe sees one.

`site/sitecustomize.py` is that Windows, for a process and for all that it starts: no `fcntl`, `resource`, `pwd`,
`grp`, `termios`; no SIGHUP, `killpg`, `fork`; no link, no open folder, no move of an open file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from annpipe.record.journal import journal
from annpipe.record.journal.events import RunEnded
from annpipe.record.journal.state import is_recorded

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-ins look into /proc")

ROOT = Path(__file__).parents[2]
SITE = Path(__file__).parent / "site"
SPEC = """
version: 1
name: "con: a?"
data: {formula: {inputs: {x: {Uniform: [-1, 1]}}, targets: {y: "x * 2"}, rows: 64}}
model: [{Linear: {out_features: 4}}, Tanh, {Linear: {out_features: 1}}]
loss: MSELoss
optimizer: {Adam: {lr: 1e-3}}
train: {epochs: 3}
"""
IMPORTS = """
import importlib, pkgutil
import annpipe, annpipe_std

names = [
    module.name
    for package in (annpipe, annpipe_std)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not module.name.endswith(".__main__") or module.name == "annpipe.record.shipper.__main__"
]
for name in names:
    importlib.import_module(name)
from annpipe.files import lock, processes
print(len(names), lock.fcntl, *(signal.name for signal in processes.STOP_SIGNALS))
"""
MISSED = """
import importlib, sys
exec(compile(sys.argv[1], "annpipe_like", "exec"), {"__name__": "annpipe.like"})
"""


def environment(project: Path) -> dict[str, str]:
    """That of a process on the Windows, whose key for seals is the project's."""
    path = os.pathsep.join(map(str, (SITE, ROOT, ROOT / "plugins")))
    own = {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "XDG_STATE_HOME": str(project / "state")}
    return {**os.environ, **own}


def annpipe(project: Path, *arguments: str) -> tuple[int, str]:
    """Runs a command to its end; its exit code and what it said."""
    command = [sys.executable, "-P", "-m", "annpipe", *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment(project), capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def interrupted(project: Path, epochs: int, number: int) -> tuple[int, Path]:
    """Begins a run and sends it a signal when its journal has some lines; the exit code, and the run's folder."""
    before = set(project.glob("runs/*"))
    command = [sys.executable, "-P", "-m", "annpipe", "run", "spec.yaml", "--set", f"train.epochs={epochs}"]
    process = subprocess.Popen(command, cwd=project, env=environment(project), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    try:
        while not (fresh := [run for run in set(project.glob("runs/*")) - before if _has_begun(run)]):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert journal.is_held(fresh[0]) is False  # its lock is no lock of POSIX
        if number == signal.SIGKILL:
            assert annpipe(project, "resume", fresh[0].name)[1].endswith("is still running\n")
        process.send_signal(number)
        return process.wait(300), fresh[0]
    finally:
        process.kill()
        process.wait()


def _has_begun(run: Path) -> bool:
    file = run / journal.FILE
    return file.exists() and file.read_bytes().count(b"\n") > 20


@pytest.mark.parametrize("wish", ["import fcntl", "import os; os.killpg", "import signal; signal.SIGHUP"])
def test_the_stand_ins_hide_what_windows_lacks(wish: str, tmp_path: Path) -> None:
    """Else the other tests would prove nothing."""
    command = [sys.executable, "-P", "-c", MISSED, wish]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 1
    assert "No module named" in done.stderr or "has no attribute" in done.stderr


@pytest.mark.slow
def test_every_module_is_imported_without_what_only_posix_has(tmp_path: Path) -> None:
    """Those of annpipe and of its library, the programs among them."""
    command = [sys.executable, "-P", "-c", IMPORTS]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    number, lock, *signals = done.stdout.split()
    assert int(number) > 400
    assert (lock, set(signals)) == ("None", {"SIGINT", "SIGTERM", "SIGBREAK"})


@pytest.mark.slow
def test_the_main_path_needs_nothing_that_only_posix_has(tmp_path: Path) -> None:
    """A run that is recorded, one that is stopped and resumed, and one that is killed, which holds up nobody."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    code, said = annpipe(tmp_path, "run", "spec.yaml")
    assert code == 0, said
    (first,) = tmp_path.glob("runs/*")
    assert first.name.startswith("con-a-")
    assert is_recorded(first)
    assert b"\r" not in (first / journal.FILE).read_bytes()
    code, stopped = interrupted(tmp_path, 6000, signal.SIGINT)
    assert code == 128 + signal.SIGINT
    assert not Path(f"{stopped / journal.FILE}-lock").exists()
    code, killed = interrupted(tmp_path, 1_000_000, signal.SIGKILL)
    assert code == -signal.SIGKILL
    code, said = annpipe(tmp_path, "runs")
    assert said.count("KILLED") == 2, said
    assert annpipe(tmp_path, "resume", stopped.name)[0] == 0
    assert [journal.status(run) for run in (first, stopped, killed)] == ["FINISHED", "FINISHED", "KILLED"]


@pytest.mark.slow
def test_the_workers_of_a_sweep_stop_when_they_are_asked(tmp_path: Path) -> None:
    """By a closed pipe: on Windows `terminate` would end them in the middle of a step."""
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    axis = "optimizer.Adam.lr=0.1,0.01,0.001"
    command = ["sweep", "spec.yaml", "--set", "train.epochs=100000", "--over", axis, "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "annpipe", *command],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    try:
        while len([run for run in tmp_path.glob("runs/*") if _has_begun(run)]) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 128 + signal.SIGINT
    finally:
        process.kill()
        process.wait()
    trials = [run for run in tmp_path.glob("runs/*") if "sweep" not in run.name]
    ends = [journal.last_event(run, RunEnded) for run in trials]
    assert [end[0].status for end in ends if end] == ["KILLED"] * len(trials)
