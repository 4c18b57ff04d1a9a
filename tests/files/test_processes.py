"""Signals, groups and lives of processes, as Windows has them too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import types
from typing import Any

import pytest

from annpipe.files import processes
from annpipe.files.processes import apart, ask_to_stop, end_group, is_alive, stop_signals, wait_for_end


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module takes this system for Windows."""
    monkeypatch.setattr(processes, "sys", types.SimpleNamespace(platform="win32"))


def test_a_process_is_alive_until_it_has_ended() -> None:
    """Its number is then nobody's; that of another user's process is somebody's."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(process.pid)
    process.communicate(b"\n")
    assert not is_alive(process.pid)
    assert is_alive(1)


def test_a_process_apart_ends_with_all_that_it_started() -> None:
    """One that hears no SIGTERM is killed."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {deaf!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **apart()
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        end_group(process, 0.3)
        assert process.stdout.read() == b""  # nobody has the pipe open any more
    assert wait_for_end(process) == -signal.SIGTERM


def test_windows_ends_a_tree_of_processes_by_its_own_command(windows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the process itself where there is no such command; a group has another flag there."""
    asked = []

    def taskkill(command: list[str], **_: Any) -> None:
        asked.append(command)
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(subprocess, "run", taskkill)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        end_group(process, 10)
    assert asked == [["taskkill", "/PID", str(process.pid), "/T", "/F"]]
    assert process.returncode == -signal.SIGKILL
    assert apart() == {"creationflags": 0x8000200}


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_a_thread_asks_its_process_to_stop(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler of SIGTERM is called, which on Windows a kill would not do."""
    monkeypatch.setattr(processes, "sys", types.SimpleNamespace(platform=platform))
    if platform == "win32":
        monkeypatch.setattr(os, "kill", pytest.fail)
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        thread = threading.Thread(target=ask_to_stop)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_a_closed_terminal_is_heard_of_unless_it_is_ignored() -> None:
    """As under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert set(stop_signals()) == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert set(stop_signals()) == {signal.SIGINT, signal.SIGTERM}
    finally:
        signal.signal(signal.SIGHUP, before)
