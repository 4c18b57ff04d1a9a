"""The shipper leaves the processor to the training, and has its own priority back when the trainer is gone."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from annpipe.record.journal import location
from annpipe.record.journal.events import RunBegun
from annpipe.record.journal.journal import Journal
from annpipe.record.journal.project import new_run_folder
from annpipe.record.journal.state import Shipped, is_recorded, write_state
from annpipe.record.shipper import __main__ as shipper
from annpipe.record.shipper.__main__ import LowPriorityThread, _ship

pytestmark = pytest.mark.filterwarnings(r"ignore:::mlflow\.")

# A machine so busy that a thread of low priority gets no processor at all.
STARVED = """
import os, sys, threading, time

class Starved:
    def find_spec(self, name, path, target=None):
        if name == "mlflow" and os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) > {own}:
            open({hit!r}, "w").close()
            time.sleep(600)
        return None

sys.meta_path.insert(0, Starved())
"""


@pytest.fixture
def place(empty_store: Path) -> Iterator[Path]:
    """A project with a store."""
    with tempfile.TemporaryDirectory(prefix="priority-") as name:
        folder = Path(name)
        shutil.copy(empty_store, folder / location.DATABASE)
        yield folder


LIBC = ctypes.CDLL(None)


def without_privileges() -> None:
    """Takes from the process that is about to begin what lets root raise a priority; others never have it."""
    drop, sys_admin, sys_nice = 24, 21, 23
    for capability in (sys_admin, sys_nice):
        LIBC.prctl(drop, capability, 0, 0, 0)


def niceness(pid: int) -> set[int]:
    """Of all threads of a process."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                found.add(os.getpriority(os.PRIO_PROCESS, int(task.name)))
    return found


def group_niceness(pid: int) -> int:
    """Of the process's scheduling group; 0 on a system without them."""
    try:
        return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])
    except (FileNotFoundError, ProcessLookupError, OSError):
        return 0


def ended_run(place: Path) -> Path:
    """A run whose trainer has written all, and of which nothing is shipped."""
    uri = location.embedded_uri(place)
    run = new_run_folder(place, "quadratic")
    journal = Journal.create(run)
    root = location.artifact_root(uri, place)
    journal.write(RunBegun(id=run.name, name="quadratic", tracking_uri=uri, artifact_root=root, time=1_700_000_000_000))
    journal.series("train/loss", 1, [1.0, 0.5], 1_700_000_000_000, 1_700_000_000_002)
    journal.end("FINISHED")
    journal.close()
    return run


@pytest.mark.slow
def test_low_priority_ends_with_the_trainer(place: Path) -> None:
    """Also where the import of MLflow is under way and never gets the processor: for a user without privileges."""
    run = ended_run(place)
    hit = place / "starved"
    site = place / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(STARVED.format(hit=str(hit), own=os.getpriority(os.PRIO_PROCESS, 0)))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "annpipe.record.shipper"], cwd=place, stdin=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(place), "PYTHONPATH": os.pathsep.join([str(site), *sys.path[1:]])},
        stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=without_privileges,
    )  # fmt: skip
    assert process.stdin is not None
    deadline = time.monotonic() + 300
    try:
        process.stdin.write(json.dumps({"folder": str(run), "tracking_uri": None}).encode() + b"\n")
        process.stdin.flush()
        while not hit.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert max(niceness(process.pid)) > own  # it stepped aside
        process.stdin.close()  # the trainer is gone
        seen: list[set[int]] = []
        groups: list[int] = []
        while process.poll() is None:
            seen.append(niceness(process.pid) or {own})
            groups.append(group_niceness(process.pid))
            assert time.monotonic() < deadline, seen[-1]
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, (run / "shipper.log").read_text()
    assert is_recorded(run)
    assert seen[-1] == {own}
    assert groups[-2:] == [0, 0]


def test_a_trainer_that_leaves_while_mlflow_is_imported_has_its_run_shipped(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may be shorter than the import, which then ends with nobody there to step aside for."""
    uri = location.embedded_uri(place)
    run = new_run_folder(place, "short")
    journal = Journal.create(run)
    root = location.artifact_root(uri, place)
    journal.write(RunBegun(id=run.name, name="short", tracking_uri=uri, artifact_root=root, time=1_700_000_000_000))
    journal.end("FINISHED")
    journal.close()
    trainer, other = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))
    monkeypatch.setattr("sys.stdin", trainer)
    for name in ("_ignore_signals", "_lower_priority", "_set_group_niceness", "_write_to"):
        monkeypatch.setattr(shipper, name, lambda *_: None)

    def leave(*, rehearse: bool) -> None:
        other.close()

    monkeypatch.setattr(shipper, "_import", leave)
    monkeypatch.setattr(shipper, "_message", lambda: {"folder": str(run)})
    with trainer:
        assert shipper.main([]) == 0
    assert is_recorded(run)


def test_a_shipper_whose_trainer_left_before_a_run_ends_at_once(place: Path) -> None:
    """Nobody waits for it to import MLflow."""
    hit = place / "starved"
    site = place / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(STARVED.format(hit=str(hit), own=os.getpriority(os.PRIO_PROCESS, 0)))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "annpipe.record.shipper"], stdin=subprocess.PIPE, start_new_session=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(site), *sys.path[1:]])},
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(300) == 0


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The trainer's end of a pipe that is this process's stdin."""
    reading, writing = os.pipe()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # a shipper sets it for the rest of its life
    with open(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing
        with suppress(OSError):
            os.close(writing)


def test_a_run_is_shipped_whose_trainer_leaves_as_mlflow_is_imported(place: Path, pipe: int) -> None:
    """The thread of low priority has ended by then: what is left is done without it."""
    run, aside = ended_run(place), LowPriorityThread()
    importing = aside.begin(lambda: time.sleep(0.3))
    os.close(pipe)
    aside.end(importing, run, None, 60)
    assert _ship(run, None, aside, None) == 0, (run / "shipper.log").read_text()
    assert is_recorded(run)


@pytest.mark.slow
def test_a_run_that_the_store_lost_is_begun_anew_aside(place: Path, pipe: int) -> None:
    """The trainer is there: all that is done for it again has low priority again."""
    run = ended_run(place)
    write_state(run, Shipped(store=location.embedded_uri(place), run_id="0" * 32, experiment_id="0"))
    assert _ship(run, None, LowPriorityThread(), None) == 0, (run / "shipper.log").read_text()
    assert is_recorded(run)
