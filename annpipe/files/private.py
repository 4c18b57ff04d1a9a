"""Folders and files that only their owner may read: run folders, the folder of caches, what holds a spec."""

from __future__ import annotations

import os
from pathlib import Path

from annpipe.files.descriptors import open_descriptor

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def private_folder(folder: Path) -> Path:
    """Makes a folder, and those above it that are missing, for the owner alone; one that is there stays as it is."""
    missing = [above for above in (folder, *folder.parents) if not above.exists()]
    for above in reversed(missing):
        above.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(folder))
    return folder


def write_private(path: Path, text: str) -> None:
    """Writes a text that only the owner may read, also where a file is there that others could."""
    descriptor = open_descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
        if os.chmod in os.supports_fd:  # on Windows a folder's rights hold for what is in it
            os.chmod(descriptor, PRIVATE_FILE)
        file.write(text)


def home() -> Path:
    """The user's home; where there is none, as in a container, a folder that cannot be made.

    What needs it then fails as it does in a home that cannot be written, with the error of the system.
    """
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def cache_folder() -> Path:
    """Where annpipe keeps what it can make again: `$XDG_CACHE_HOME/annpipe` or `~/.cache/annpipe`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home() / ".cache") / "annpipe"
