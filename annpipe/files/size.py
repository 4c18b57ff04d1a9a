"""The bytes that a folder takes."""

from __future__ import annotations

import os
from pathlib import Path


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files below a folder; links are not followed, and what is gone counts nothing."""
    if path.is_symlink() or not path.is_dir():
        return _bytes(path)
    return sum(_bytes(Path(base, name)) for base, _, names in os.walk(path) for name in names)


def _bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
