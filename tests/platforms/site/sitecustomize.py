"""A Windows that annpipe's modules see, wherever it runs: what POSIX alone has is hidden from them, and only from them.

`import` is replaced: a module of annpipe gets stand-ins for `os`, `sys`, `signal`, `select` and `subprocess`, in which
calls fail as they would there, and no `fcntl` at all; filelock then uses its portable lock. All other libraries see
the system as it is. A Python that finds this file on its path begins so, and so do the processes that it starts.
"""

from __future__ import annotations

import builtins
import enum
import errno
import os
import select
import signal
import subprocess
import sys
import termios
import types
from array import array
from collections.abc import Callable, Collection, Mapping
from fcntl import F_GETFL, fcntl, ioctl
from typing import Any

ABSENT = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix")
BINARY = 1 << 30
_NOT_IN_OS = """
    O_NONBLOCK O_DIRECTORY O_NOFOLLOW O_CLOEXEC fork forkpty killpg kill getuid geteuid getgid getegid setsid getsid
    getpgid getpgrp setpgid nice getpriority setpriority sched_getaffinity sched_setaffinity sysconf sysconf_names
    fchmod fchown chown statvfs uname wait waitid WNOHANG mkfifo getloadavg execv execve posix_spawn pread pwrite
    get_blocking set_blocking
"""
_WINDOWS_SIGNALS = ("SIGINT", "SIGTERM", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV")


class StandIn(types.ModuleType):
    """A module with some members missing and others replaced."""

    def __init__(self, real: types.ModuleType, absent: Collection[str], replaced: Mapping[str, Any]) -> None:
        super().__init__(real.__name__)
        own = object.__getattribute__(self, "__dict__")
        own.update(_real=real, _absent=frozenset(absent), _replaced=dict(replaced))

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if name in own["_absent"]:
            raise AttributeError(f"module {own['_real'].__name__!r} of Windows has no attribute {name!r}", name=name)
        return own["_replaced"][name] if name in own["_replaced"] else getattr(own["_real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "__dict__")["_real"], name, value)


def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """`os.open`: no folder can be opened, and a file only as binary, since text would get other line ends."""
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
    assert flags & BINARY or path == os.devnull, f"{path} is opened as text"
    return os.open(path, flags & ~BINARY | os.O_CLOEXEC, mode, dir_fd=dir_fd)


def synced(descriptor: int) -> None:
    """`os.fsync`: of nothing that may not be written."""
    if not fcntl(descriptor, F_GETFL) & (os.O_WRONLY | os.O_RDWR):
        raise OSError(errno.EBADF, "Bad file descriptor")
    os.fsync(descriptor)


def replaced(source: Any, target: Any) -> None:
    """`os.replace`: of nothing that this process has open, nor to a folder that is there."""
    for path in map(os.path.abspath, (source, target)):
        if any(file == path or file.startswith(f"{path}/") for file in open_files()):
            raise PermissionError(errno.EACCES, "The process cannot access the file", path)
    if os.path.isdir(target):
        raise PermissionError(errno.EACCES, "Access is denied", os.fspath(target))
    os.replace(source, target)


def open_files() -> list[str]:
    """The files that this process has open."""
    paths = []
    for name in os.listdir("/proc/self/fd"):
        try:
            paths.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return paths


def peeked(handle: int) -> tuple[int, int]:
    """`_winapi.PeekNamedPipe`: how many bytes wait; an error where the pipe is empty and its other end closed."""
    waiting = array("i", [0])
    ioctl(handle, termios.FIONREAD, waiting)
    poll = select.poll()
    poll.register(handle, 0)
    if not waiting[0] and any(event & select.POLLHUP for _, event in poll.poll(0)):
        raise BrokenPipeError(errno.EPIPE, "The pipe has been ended")
    return waiting[0], 0


class Popen(subprocess.Popen):  # type: ignore[type-arg]  # the class is one of any text
    """`subprocess.Popen`: with flags of Windows, without those of POSIX."""

    def __init__(self, *arguments: Any, creationflags: int = 0, **options: Any) -> None:
        assert not {"start_new_session", "preexec_fn", "process_group", "pass_fds"} & options.keys(), options
        # CREATE_NEW_PROCESS_GROUP: no Ctrl-C of this console reaches it
        super().__init__(*arguments, start_new_session=bool(creationflags & 0x200), **options)


def linked(*_: Any, **__: Any) -> None:
    """`os.symlink`, for which a user of Windows needs a privilege."""
    raise OSError(errno.EPERM, "A required privilege is not held by the client")


SIGNALS = enum.IntEnum("Signals", {name: int(getattr(signal, name)) for name in _WINDOWS_SIGNALS} | {"SIGBREAK": 21})
STAND_INS: dict[str, types.ModuleType] = {
    "os": StandIn(
        os,
        _NOT_IN_OS.split(),
        {
            "name": "nt", "O_BINARY": BINARY, "supports_dir_fd": set(), "supports_fd": set(),
            "open": opened, "fsync": synced, "replace": replaced, "rename": replaced, "symlink": linked,
        },
    ),
    "sys": StandIn(sys, (), {"platform": "win32"}),
    "select": StandIn(select, ("poll", "epoll", "select"), {}),
    "signal": StandIn(
        signal,
        tuple(
            name for name in dir(signal)
            if name.startswith(("SIG", "pthread", "ITIMER", "setitimer", "alarm"))
            and name not in (*_WINDOWS_SIGNALS, "SIG_IGN", "SIG_DFL")
        ),
        {"Signals": SIGNALS, "SIGBREAK": SIGNALS.SIGBREAK},
    ),
    "subprocess": StandIn(subprocess, (), {"Popen": Popen}),
    "msvcrt": types.ModuleType("msvcrt"),
    "_winapi": types.ModuleType("_winapi"),
}  # fmt: skip
STAND_INS["msvcrt"].__dict__["get_osfhandle"] = int
STAND_INS["_winapi"].__dict__["PeekNamedPipe"] = peeked


def on_windows(real: Callable[..., Any]) -> Callable[..., Any]:
    """`import` as it is for the modules of annpipe, and without `fcntl` for filelock."""

    def imported(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        package = str((globals or {}).get("__name__", "")).partition(".")[0]
        if level == 0 and package in ("annpipe", "annpipe_std"):
            top = name.partition(".")[0]
            if top in ABSENT:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if top in STAND_INS:
                return STAND_INS[top]
        if level == 0 and package == "filelock" and name == "fcntl":
            raise ModuleNotFoundError("No module named 'fcntl'", name=name)
        return real(name, globals, locals, fromlist, level)

    return imported


builtins.__import__ = on_windows(builtins.__import__)
