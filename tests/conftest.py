"""What many tests need: the command line as a user drives it, and a project folder of their own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from annpipe.cli import outcome
from annpipe.record.journal import location
from annpipe.record.journal.state import is_recorded, read_state
from annpipe.record.shipper.recorder import Recorder
from annpipe.registry.registry import Registry
from tests.training import Fit, Go, Planned, planner, runner, trainer

pytest.register_assert_rewrite("tests.comparing", "tests.faults", "tests.sweep.commands", "tests.train.gears")

ROOT = Path(__file__).parent.parent
Cli = Callable[..., subprocess.CompletedProcess[str]]
CliHere = Callable[..., tuple[int, str, str]]


@pytest.hookimpl(optionalhook=True)  # where pytest-xdist is not installed, nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each process takes neighbours, which share the fixtures of their module, and steals from the ends of others."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture(autouse=True)
def own_addresses() -> Iterator[None]:
    """What a shipper in this process sets in the environment, as the store's address, ends with its test."""
    before = addresses()
    yield
    for name in addresses().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def addresses() -> dict[str, str]:
    """The variables of the environment that say where a record goes."""
    return {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW", "ANNPIPE"))}


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key that seals run folders is one of the tests', and not the user's; no terminal narrows what is printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it in its processes
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def registry_entries() -> Registry:
    """All installed components; copy it before adding to it."""
    return Registry.installed()


@pytest.fixture(autouse=True)
def warnings_stay_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this process show warnings that the caller takes for errors; here they are errors inside runs, too."""
    monkeypatch.setattr("annpipe.backend.torch_globals._warnings_shown", nullcontext)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are taken in one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables; making them takes seconds, copying them does not."""
    from annpipe.record.store.client import Store

    folder = tmp_path_factory.mktemp("store")
    with warnings.catch_warnings(action="ignore"):  # MLflow's own, as it makes its tables for the first time
        assert Store(location.embedded_uri(folder)).answers()
    return folder / location.DATABASE


@pytest.fixture
def planned(tmp_path: Path, registry_entries: Registry) -> Planned:
    """The plan of a spec's text; keyword arguments are files written beside the spec."""
    return planner(tmp_path, registry_entries)


@pytest.fixture
def fit(tmp_path: Path, planned: Planned) -> Fit:
    """Trains a spec's text; `stop_at` asks the loop to stop at a step, `resume` goes on from the last checkpoint."""
    return trainer(tmp_path, planned)


@pytest.fixture
def go(tmp_path: Path, planned: Planned) -> Go:
    """Runs a spec's text with its journal, figures and model, but without a shipper; `resume` names a run's folder."""
    return runner(tmp_path, planned)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Inside, runs of this process are shipped by nobody: where no record is read, MLflow need not be imported."""

    def nobody(cls: type[Recorder]) -> Recorder:
        return cls(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "start_shipper", classmethod(nobody))
        yield


@pytest.fixture
def annpipe(tmp_path: Path) -> Cli:
    """Runs `annpipe …` in an empty project as a process of its own; no environment decides where things go."""

    def call(
        *arguments: str | Path, cwd: Path = tmp_path, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "ANNPIPE"))}
        return subprocess.run(
            [sys.executable, "-m", "annpipe", *map(str, arguments)],
            cwd=cwd,
            env={**kept, "PYTHONWARNINGS": "default", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


@pytest.fixture
def annpipe_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `annpipe …` in an empty project within this process, which is quicker: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["annpipe", *map(str, arguments)])
        capsys.readouterr()
        code = outcome()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@contextmanager
def in_seconds(seconds: int) -> Iterator[None]:
    """Whoever waits for a pipe is interrupted."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it took more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def wait_until_recorded(folder: Path) -> None:
    """Nobody waited for the record of this run: it is made in the background."""
    deadline = time.monotonic() + 300
    while not is_recorded(folder):
        assert time.monotonic() < deadline, read_state(folder)
        time.sleep(0.1)


def unused_port() -> int:
    """A loopback port on which nobody listens, of those that no system hands out by itself: it stays unused."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports are taken")
