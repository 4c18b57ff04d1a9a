"""Finds and opens the files that a spec names.

Only regular files are opened, never a pipe, a device or a socket, which could block or never end. A file of an
untrusted spec must be below the folder of the spec when all links are followed, and not larger than its bound.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from annpipe.errors import AnnpipeError, LimitError, OptionError, Place, Problem
from annpipe.files.descriptors import FOLDER, NO_WAIT, open_descriptor
from annpipe.files.limits import beyond, limit, present_stance

LONGEST = 4096  # bytes of a path, on all systems
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}
_RELATIVE = "paths are relative to the spec"


class NamedFault(AnnpipeError):
    """A file that a spec names cannot be used: why, what to do, and whether it is `absent`."""

    exit_code = 3

    def __init__(self, message: str, help: str, *, absent: bool = False) -> None:
        self.message, self.help, self.absent = message, help, absent
        super().__init__(f"{message}; {help}")


class BeyondBound(NamedFault):
    """The file exceeds a bound for untrusted specs."""


def opened(path: str | Path, *, bound: str = "file") -> io.BufferedReader:
    """The regular file at `path`, for reading bytes; raises NamedFault.

    Detects a name that is made to lead elsewhere between its check and its opening.
    """
    real = real_path(path)
    try:
        before = os.stat(real)
        _check_regular(before, path)
        descriptor = _descriptor(real)
    except OSError as error:
        raise fault_of(error, path) from error
    try:
        after = os.fstat(descriptor)
        _check_regular(after, path)
        _check_size(after, path, bound)
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
            raise NamedFault(f"{shown(path)} was replaced while it was opened", "try again when nobody writes there")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def content(path: str | Path, *, bound: str = "file") -> bytes:
    """All bytes of the regular file at `path`; raises NamedFault."""
    most = limit(bound)
    try:
        with opened(path, bound=bound) as file:
            data = file.read() if most is None else file.read(most + 1)
    except OSError as error:
        raise fault_of(error, path) from error
    if most is not None and len(data) > most:
        message, help_ = beyond(bound, f"more than {most:,}")
        raise BeyondBound(f"{shown(path)}: {message}", help_)
    return data


def open_file(path: str | Path, *, option: str) -> io.BufferedReader:
    """Opens a file that the spec names, for reading bytes: the way for a component with an option of the type `Path`.

    It is a regular file, and for an untrusted spec one below its folder and within bounds. Raises
    OptionError at `option`.
    """
    try:
        return opened(path)
    except NamedFault as fault:
        raise option_error(fault, option) from fault


def option_error(fault: NamedFault, option: str) -> OptionError:
    """A fault of a file as that of the option which names it."""
    kind = LimitError if isinstance(fault, BeyondBound) else OptionError
    return kind(option, fault.message, help=fault.help)


def problem_of(code: str, fault: NamedFault, place: Place | None) -> Problem:
    """A fault of a file as a problem at the place that names it."""
    return Problem("untrusted-limit" if isinstance(fault, BeyondBound) else code, fault.message, place, fault.help)


def named_files(path: str | Path, *, option: str) -> list[str]:
    """The files that a path or a pattern (`data/*.csv`, `**/*.csv`) names, sorted; none where no file fits it.

    A path without a pattern is given back as it is, whether or not there is a file. Of a folder that several links lead
    to, the files come once. Raises OptionError at `option`, also for a link out of the folder of an untrusted spec.
    """
    text = os.fspath(path).replace(os.altsep or os.sep, os.sep)  # on Windows both kinds of slashes part folders
    try:
        real_path(text)
        if not _has_pattern(text) or os.path.lexists(text):
            return [text]
        files = sorted(dict.fromkeys(_fitting(text)))
        for file in files:
            real_path(file)
    except NamedFault as fault:
        raise option_error(fault, option) from fault
    except OSError as error:
        raise option_error(fault_of(error, path), option) from error
    most = limit("files")
    if most is not None and len(files) > most:
        message, help_ = beyond("files", f"{len(files):,}")
        raise LimitError(option, message, help=help_)
    return files


def check_named(path: str, spec_text: str | None = None, *, bound: str = "file") -> None:
    """Checks the value of an option of the type path; the file or folder need not exist.

    `spec_text` is the path as the spec has it. Raises NamedFault for a name that no file can have, for what is neither
    file nor folder, and for a path outside the folder of an untrusted spec.
    """
    real = real_path(path, spec_text)
    try:
        status = os.stat(real)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return  # whoever opens it says so
        raise fault_of(error, spec_text or path) from error
    if not stat.S_ISDIR(status.st_mode):
        _check_regular(status, spec_text or path)
        _check_size(status, spec_text or path, bound)


def before_pattern(path: str) -> str:
    """The part of a path that has no pattern in it, up to the last folder; the whole of one without."""
    path = path.replace(os.altsep or os.sep, os.sep)
    first = min((index for sign in "*?[" if (index := path.find(sign)) >= 0), default=None)
    return path if first is None else path[: path.rfind(os.sep, 0, first) + 1]


def real_path(path: str | Path, spec_text: str | None = None) -> Path:
    """The path with all links followed; raises NamedFault for a name that no file can have, and for one outside.

    `spec_text` is the path as the spec has it.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise NamedFault("the path has a NUL character, which no file's name can have", "write the path again")
    try:
        length = len(os.fsencode(text))
    except UnicodeEncodeError:
        raise NamedFault("the path has characters that no file's name can have", "write the path again") from None
    if length > LONGEST:
        message = f"the path '{text[:40]}…' has {length:,} bytes, and no file's path has more than {LONGEST:,}"
        raise NamedFault(message, "write the path of a file")
    try:
        real = Path(os.path.realpath(text))
    except OSError as error:
        raise fault_of(error, path) from error
    stance = present_stance()
    if stance is not None and not stance.allows(real):
        message = f"the file {shown(spec_text or path)} lies outside the folder of an untrusted spec"
        raise NamedFault(message, "move it beside the spec")
    return real


def fault_of(error: OSError, path: str | Path) -> NamedFault:
    """An error of the system about a file, explained to the user."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NamedFault(f"there is no file {shown(path)}", _RELATIVE, absent=True)
    if error.errno == errno.ELOOP:
        message = f"{shown(path)} is a symbolic link that leads back to itself, or through too many links"
        return NamedFault(message, "name the file itself")
    if error.errno == errno.ENAMETOOLONG:
        return NamedFault(f"{shown(path)} is too long for the name of a file", "write the path of a file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return NamedFault(f"{shown(path)} cannot be read: {error.strerror}", "see who may read it")
    return NamedFault(f"{shown(path)} cannot be read: {error.strerror or error}", "see whether it is the file you mean")


def shown(path: str | Path) -> str:
    """A path in quotes, shortened where it is very long."""
    text = os.fspath(path)
    return f"'{text}'" if len(text) <= 300 else f"'{text[:120]}…{text[-60:]}'"


def _descriptor(real: Path) -> int:
    """An open descriptor of a path without links; neither a pipe nor a device would be waited for."""
    flags = os.O_RDONLY | NO_WAIT
    stance = present_stance()
    if stance is None or not real.is_relative_to(stance.folder) or os.open not in os.supports_dir_fd:
        return open_descriptor(real, flags)
    *folders, name = real.relative_to(stance.folder).parts or (".",)
    at = open_descriptor(stance.folder, os.O_RDONLY | FOLDER)
    try:
        for folder in folders:  # a folder that has become a link meanwhile is not followed
            below = open_descriptor(folder, os.O_RDONLY | FOLDER, follow_links=False, dir_fd=at)
            os.close(at)
            at = below
        return open_descriptor(name, flags, follow_links=False, dir_fd=at)
    finally:
        os.close(at)


def _check_regular(status: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        _refuse_kind(status, path)


def _refuse_kind(status: os.stat_result, path: str | Path) -> NoReturn:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
    help_ = "name a file in it" if stat.S_ISDIR(status.st_mode) else "name a file on a disk"
    raise NamedFault(f"{shown(path)} is {kind}, not a file", help_)


def _check_size(status: os.stat_result, path: str | Path, bound: str) -> None:
    most = limit(bound)
    if most is not None and status.st_size > most:
        message, help_ = beyond(bound, f"{status.st_size:,}")
        raise BeyondBound(f"{shown(path)}: {message}", help_)


def _has_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _fitting(pattern: str) -> Iterator[str]:
    """The files that match a pattern; each folder is read once for each part of it, whichever links lead there."""
    fixed = before_pattern(pattern)
    parts = [part for part in pattern[len(fixed) :].split(os.sep) if part]
    waiting: list[tuple[str, int]] = [(fixed, 0)]
    visited: set[tuple[Path, int]] = set()
    entries = 0
    most = limit("entries")
    while waiting:
        folder, depth = waiting.pop()
        real = real_path(folder or os.curdir)  # no folder outside that of an untrusted spec is read
        if (real, depth) in visited:
            continue
        visited.add((real, depth))
        part, is_last = parts[depth], depth == len(parts) - 1
        if part == "**" and not is_last:
            waiting.append((folder, depth + 1))
        for entry in _entries(real):
            entries += 1
            if most is not None and entries > most:
                raise BeyondBound(*beyond("entries", f"more than {most:,}"))
            path = os.path.join(folder, entry.name)
            hidden = entry.name.startswith(".") and not part.startswith(".")
            if part == "**" and not hidden:
                if _is_folder(entry):
                    waiting.append((path, depth))
                elif is_last:
                    yield path
            elif part != "**" and not hidden and fnmatchcase(entry.name, part):
                if is_last:
                    yield path
                elif _is_folder(entry):
                    waiting.append((path, depth + 1))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link that leads back to itself is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder by name; none where it does not exist or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
