"""A lock between processes, for files and folders that several of them may want to create."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from annpipe.files.private import private_folder


@contextmanager
def locked(path: Path, *, timeout_seconds: float = -1, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds the lock of `path`, which need not exist; other processes and threads wait until it is let go.

    The lock is the file `<path>-lock` beside it; folders above it are made. It stays there, empty: a lock file that
    is removed would let two processes in. The system lets go of it when the process dies. Not reentrant. `on_wait` is
    called where another one has it.

    Raises OSError where the file cannot be made, and TimeoutError after `timeout_seconds`; below 0 it waits for ever.
    """
    lock = Path(f"{path}-lock")
    private_folder(lock.parent)
    try:
        os.close(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644))
    except FileNotFoundError as error:  # a folder that takes no file, as /proc: filelock would wait for ever
        raise PermissionError(errno.EACCES, "no file can be made there", str(lock)) from error
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
