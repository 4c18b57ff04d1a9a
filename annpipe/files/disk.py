"""What a disk or a folder refuses, in words: full, read-only, closed to the user, or no longer there."""

from __future__ import annotations

import errno
import os

from annpipe.errors import visible

_REMEDIES = {
    errno.ENOSPC: "make room, then run the command again",
    errno.EDQUOT: "make room, then run the command again",
    errno.EFBIG: "files here may not be so large: see `ulimit -f`",
    errno.EROFS: "run from a folder that can be written to",
    errno.EACCES: "see whom the folder belongs to, or run from one of your own",
    errno.EPERM: "see whom the folder belongs to, or run from one of your own",
    errno.EIO: "the disk fails: see the system's log",
    errno.EMFILE: "more files are open than `ulimit -n` lets a process have",
    errno.ENFILE: "more files are open than the system lets there be",
    errno.ENOMEM: "this needs more memory than there is",
    errno.ENAMETOOLONG: "write a shorter name",
    errno.ELOOP: "a link leads in a circle: name the file itself",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "name a file",
    errno.EEXIST: "a file stands where a folder is wanted",
    errno.ENXIO: "it is no file on a disk",
    errno.ENODEV: "it is no file on a disk",
    errno.ETXTBSY: "another process runs it",
    errno.ESTALE: "the folder is on a server that has lost it: change to it again",
}


def fault_of_disk(error: OSError) -> str | None:
    """What to tell of an error that the system's disks and limits caused, None for any other.

    A file that is not there is not among them: whoever looks for a file says so himself.
    """
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    what = f"'{names[-1]}': " if names else ""
    return visible(f"{what}{error.strerror or error}; {remedy}")
