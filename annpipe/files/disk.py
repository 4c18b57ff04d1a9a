"""Explains errors of disks and folders to the user: full, read-only, not permitted, or no longer there."""

from __future__ import annotations

import errno
import os

from annpipe.errors import visible

_REMEDIES = {
    errno.ENOSPC: "free some space, then run the command again",
    errno.EDQUOT: "free some space, then run the command again",
    errno.EFBIG: "files here may not be so large: see `ulimit -f`",
    errno.EROFS: "run from a folder that can be written to",
    errno.EACCES: "check who owns the folder, or run from one of your own",
    errno.EPERM: "check who owns the folder, or run from one of your own",
    errno.EIO: "the disk is failing: see the system log",
    errno.EMFILE: "the process has more open files than `ulimit -n` permits",
    errno.ENFILE: "the system has more open files than it permits",
    errno.ENOMEM: "this needs more memory than there is",
    errno.ENAMETOOLONG: "write a shorter name",
    errno.ELOOP: "a symbolic link leads back to itself: name the file itself",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "name a file",
    errno.EEXIST: "a file is where a folder is needed",
    errno.ENXIO: "it is not a file on a disk",
    errno.ENODEV: "it is not a file on a disk",
    errno.ETXTBSY: "another process runs it",
    errno.ESTALE: "the server no longer knows the folder: change to it again",
}


def fault_of_disk(error: OSError) -> str | None:
    """A message with a remedy for an error of disks or of limits of the system, None for any other.

    A missing file is not among them: the code that looks for a file reports it.
    """
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    what = f"'{names[-1]}': " if names else ""
    return visible(f"{what}{error.strerror or error}; {remedy}")
