"""Writes files completely or not at all, with digests that show damage.

A file is written under another name in its folder, flushed to the disk, and renamed. A JSON text may be *sealed*: its
last member is then `"crc"`, the CRC-32 of all the bytes before it. A folder may have `sums.json` with the size and the
BLAKE2b digest of each file beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from annpipe.errors import RunError
from annpipe.files.descriptors import move, open_descriptor, sync_file, sync_folder
from annpipe.files.private import PRIVATE_FILE, PRIVATE_FOLDER

SUMS = "sums.json"
_SEAL = re.compile(rb',"crc":"([0-9a-f]{8})"\}$')
_SEAL_BYTES = len(b',"crc":"01234567"}')


class Damaged(RunError):
    """The bytes of a file are not those that were written."""


def seal(text: str) -> bytes:
    """A JSON object with members, and a check sum as the last of them; `text` is ASCII and ends with its brace.

    >>> seal('{"event":"end"}')
    b'{"event":"end","crc":"565ff857"}'
    """
    body = text.encode("ascii")[:-1]
    return b'%s,"crc":"%08x"}' % (body, zlib.crc32(body))


def seal_holds(line: bytes) -> bool | None:
    """Whether a sealed text (without a line's end) is the one that was sealed; None where it has no seal."""
    match = _SEAL.search(line, max(0, len(line) - _SEAL_BYTES))
    if match is None:
        return None
    return zlib.crc32(memoryview(line)[: match.start()]) == int(match[1], 16)


def digest(data: bytes) -> str:
    """The BLAKE2b digest of some bytes, 128 bits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def write_whole(path: Path, data: bytes | str, *, sync: bool = True) -> None:
    """Replaces a file in one move, so that a kill or a full disk leaves the old one or none; raises OSError.

    Text is written as UTF-8. Without `sync` the file may be empty after the machine itself lost power. A kill may leave
    `.<name>.new`, which whoever writes the file next takes away; no two may write it at once.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    new = path.with_name(f".{path.name}.new")
    try:
        _write(new, content, sync=sync)
        move(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    if sync:
        sync_folder(path.parent)


def replace_text(path: Path, *, before: bytes, after: bytes) -> bool:
    """Replaces the content of a user's file in one move, and keeps its rights; what a link leads to, where it is one.

    Nothing is done, and False returned, where the file does not hold `before` any more. Raises OSError.
    """
    real = path.resolve(strict=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    os.close(descriptor)
    new = Path(name)
    try:
        _write(new, after, sync=True)
        os.chmod(new, stat.S_IMODE(real.stat().st_mode))
        if real.read_bytes() != before:
            os.unlink(new)
            return False
        move(new, real)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    sync_folder(real.parent)
    return True


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file down to the disk under its own name, for a folder that is renamed into its place afterwards."""
    _write(path, data, sync=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to be filled; it takes the place of `folder` when it is on the disk, or is removed after a fault."""
    new, old = (folder.with_name(f".{folder.name}.{ending}") for ending in ("new", "old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=PRIVATE_FOLDER)
    try:
        yield new
        write_sums(new)
        for path in sorted(new.iterdir()):
            sync_file(path)
        sync_folder(new)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            move(folder, old)
        move(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_sums(folder: Path) -> None:
    """Writes the sizes and digests of the folder's files to its `sums.json`."""
    sums = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != SUMS:
            data = path.read_bytes()
            sums[path.name] = [len(data), digest(data)]
    (folder / SUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8", newline="\n")


def _write(path: Path, data: bytes, *, sync: bool) -> None:
    # With calls of the system alone: what a fault does to each of them is tried in tests/faults.
    descriptor = open_descriptor(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, PRIVATE_FILE)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
