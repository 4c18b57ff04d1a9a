"""Locks between processes: for files that several may want to create, and for one that a process holds while it lives.

Where there is `fcntl` a held file is locked itself, as all versions of annpipe do. Windows would keep others from
reading a locked file, so there the lock is on a file beside it, which is removed when it is let go.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

from annpipe.files.descriptors import NO_WAIT, open_descriptor
from annpipe.files.private import PRIVATE_FILE, private_folder

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

_TRIES, _SECONDS_BETWEEN = 5, 0.01  # that a reader who asks whether a file is held may itself hold it


@contextmanager
def locked(path: Path, *, timeout_seconds: float = -1, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds the lock of `path`, which need not exist; other processes and threads wait until it is let go.

    The lock is the file `<path>-lock` beside it; folders above it are made. On POSIX it stays there, empty: a lock file
    that is removed would let two processes in. The system lets go of it when the process dies. Not reentrant. `on_wait`
    is called where another one has it.

    Raises OSError where the file cannot be made, and TimeoutError after `timeout_seconds`; below 0 it waits for ever.
    """
    lock = _beside(path)
    private_folder(lock.parent)
    if fcntl is not None:  # elsewhere a file that is there may be the lock itself
        try:
            os.close(open_descriptor(lock, os.O_RDWR | os.O_CREAT, 0o644, follow_links=False))
        except FileNotFoundError as error:  # a folder that takes no file, as /proc: filelock would wait for ever
            raise PermissionError(errno.EACCES, "no file can be made there", str(lock)) from error
    from filelock import FileLock, Timeout  # a tenth of a second, which few commands need

    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        if on_wait is not None:
            on_wait()
        held.acquire(timeout=timeout_seconds)
    try:
        yield
    finally:
        held.release()


def try_hold(path: Path, descriptor: int) -> Callable[[], None] | None:
    """Holds a file that this process has open as `descriptor`, without waiting; None while another process holds it.

    It is let go by calling the result, before the descriptor is closed; or by the system, when the process dies.
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return partial(fcntl.flock, descriptor, fcntl.LOCK_UN)
    return _try_beside(path)


def is_held(path: Path) -> bool:
    """Whether a process holds a file; False where there is none."""
    if fcntl is None:
        return _beside(path).exists() and _is_locked(path)
    try:
        descriptor = open_descriptor(path, os.O_RDONLY | NO_WAIT)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Holds a file, which is made where it is missing; yields False, at once, while another process holds it."""
    descriptor = open_descriptor(path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE)
    try:
        let_go = try_hold(path, descriptor)
        try:
            yield let_go is not None
        finally:
            if let_go is not None:
                let_go()
    finally:
        os.close(descriptor)


def _is_locked(path: Path) -> bool:
    for _ in range(_TRIES):
        try:
            let_go = _try_beside(path)
        except OSError:  # a folder that cannot be written is held by nobody
            return False
        if let_go is not None:
            let_go()
            return False
        time.sleep(_SECONDS_BETWEEN)
    return True


def _try_beside(path: Path) -> Callable[[], None] | None:
    """Locks the file beside `path`; gives what lets go of it, None where another process has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(_beside(path), mode=PRIVATE_FILE, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock.release


def _beside(path: Path) -> Path:
    return Path(f"{path}-lock")
