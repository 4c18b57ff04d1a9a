"""Opens, syncs and moves files by calls of the system, on POSIX and on Windows alike.

Windows writes `\\r\\n` for `\\n` through a descriptor that is not opened as binary, syncs no folder, and moves no file
that somebody has open. POSIX has flags that Windows lacks.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)  # neither a pipe nor a device is waited for
FOLDER: int = getattr(os, "O_DIRECTORY", 0)
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_ALWAYS: int = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
SECONDS_TO_MOVE = 2.0  # that another process may have a file open: a reader, or a virus scanner


def open_descriptor(
    path: str | Path, flags: int, mode: int = 0o600, *, follow_links: bool = True, dir_fd: int | None = None
) -> int:
    """`os.open` for bytes, closed in processes that are started; with `follow_links` False a link is an OSError."""
    if not follow_links:
        if not NO_LINK and os.path.islink(path):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        flags |= NO_LINK
    return os.open(path, flags | _ALWAYS, mode, dir_fd=dir_fd)


def sync_file(path: Path) -> None:
    """Waits until the content of a file is on the disk."""
    _sync(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)  # Windows syncs only what may be written


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk; on Windows, where they are, nothing is done."""
    if sys.platform != "win32":
        _sync(folder, os.O_RDONLY)


def move(source: str | Path, target: str | Path) -> None:
    """Gives a file, or a folder, the name of `target` in one move, and replaces a file that has it.

    On Windows this fails while somebody has either open, so it is tried for some time; raises OSError.
    """
    deadline = time.monotonic() + SECONDS_TO_MOVE
    while True:
        try:
            os.replace(source, target)
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def place_new(source: Path, target: Path) -> None:
    """Gives a whole file a second name, in one move, where there is none; what has that name stays.

    Where a file system has no second names, as that of a memory stick, it is copied.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        with suppress(FileExistsError):
            descriptor = open_descriptor(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            with open(descriptor, "wb") as copy:
                copy.write(source.read_bytes())


def stand_in(path: Path, target: Path) -> None:
    """Makes `path` a link to a file or folder; where links need a privilege, a junction to a folder, a file's copy."""
    try:
        path.symlink_to(target)
    except OSError:
        if sys.platform != "win32":
            raise
        if target.is_dir():
            import _winapi

            _winapi.CreateJunction(str(target), str(path))
        else:
            shutil.copyfile(target, path)


def _sync(path: Path, flags: int) -> None:
    descriptor = open_descriptor(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
