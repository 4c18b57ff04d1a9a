"""Writes new files whole or not at all, and never over anything that stands there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from annpipe.files.descriptors import move
from annpipe.scaffold.names import NewError

_MADE = 0o777  # what the user's umask leaves of it, as `mkdir` makes folders


def write_new_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Writes files into a folder, which may be new; raises NewError where one of them is there, and writes none."""
    for name in texts:
        if os.path.lexists(folder / name):
            raise NewError(f"{folder / name} is there already, and nothing is overwritten; take another name")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with open(folder / name, "x", encoding="utf-8", newline="\n") as file:
                written.append(folder / name)
                file.write(text)
    except BaseException as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        if isinstance(error, OSError):
            raise NewError(f"nothing was written to {folder}: {error.strerror}") from error
        raise


def write_new_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Makes a folder with files at paths below it, in one move; raises NewError where its name is taken."""
    if os.path.lexists(folder):
        raise NewError(f"{folder} is there already, and nothing is overwritten; take another name")
    new = None
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for name, text in texts.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(_MADE & ~umask)
        move(new, folder)
    except BaseException as error:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError):
            raise NewError(f"{folder} was not made: {error.strerror}") from error
        raise
