"""Signals, groups and lives of processes, on POSIX and on Windows alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # SIGBREAK: Windows' Ctrl-Break, and its closed console
STOP_SIGNALS = tuple(number for number in signal.Signals if number.name in _NAMES)
HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""What a process gets when its terminal is closed; None on Windows, which sends SIGBREAK."""
_NEW_GROUP, _NO_WINDOW = 0x200, 0x8000000  # CREATE_NEW_PROCESS_GROUP and CREATE_NO_WINDOW, of Windows alone


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask this process to end; without SIGHUP where it is ignored, as under `nohup`."""
    is_deaf = HANG_UP is not None and signal.getsignal(HANG_UP) is signal.SIG_IGN
    return tuple(number for number in STOP_SIGNALS if not (is_deaf and number == HANG_UP))


def apart() -> dict[str, Any]:
    """The arguments of `Popen` for a process that no key and no end of our terminal reaches: a session of its own."""
    return {"creationflags": _NEW_GROUP | _NO_WINDOW} if sys.platform == "win32" else {"start_new_session": True}


def end_group(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ends a process that was started `apart`, and all that it started; each try is given so many seconds."""
    if sys.platform == "win32":
        with suppress(OSError, subprocess.TimeoutExpired):
            tree = ["taskkill", "/PID", str(process.pid), "/T", "/F"]
            subprocess.run(tree, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        process.kill()
        _wait(process, seconds)
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        _wait(process, seconds)


def wait_for_end(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process when it has one; Ctrl-C gets through, which on Windows interrupts no `wait`."""
    while (code := process.poll()) is None:
        time.sleep(0.2)
    return code


def ask_to_stop() -> None:
    """Sends this process SIGTERM, from whatever thread: its handler is called, also on Windows."""
    if sys.platform == "win32":  # where `os.kill` ends the process without asking its handler
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def is_alive(pid: int) -> bool:
    """Whether there is a process with this number."""
    import psutil  # seldom asked

    return bool(psutil.pid_exists(pid))


def listens(pid: int, port: int) -> bool:
    """Whether a process, or one below it, accepts connections on a TCP port; True where the system does not say."""
    import psutil

    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        sockets = [socket for process in processes for socket in process.net_connections("tcp")]
    except psutil.AccessDenied:
        return True
    except psutil.Error:  # one has ended meanwhile
        return False
    return any(socket.status == psutil.CONN_LISTEN and socket.laddr.port == port for socket in sockets)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
