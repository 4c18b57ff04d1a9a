"""Reads arrays of a NumPy archive by name, without pickle, and with no more memory than the file has bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO
from zipfile import ZipFile, ZipInfo

from annpipe.errors import AnnpipeError, LimitError, OptionError
from annpipe.files.limits import beyond, limit
from annpipe.files.memory import machine_memory

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_ENDING = ".npy"
_AT_ONCE = 1 << 20


class ArchiveError(AnnpipeError):
    """An archive or one of its arrays cannot be read; `help` is the remedy.

    `of_array` tells that one array is at fault and named, `of_file` that it is damaged, `is_bound` that it is too large
    for the spec of a stranger.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        help: str = "save the file again",
        *,
        of_array: bool = True,
        of_file: bool = True,
        is_bound: bool = False,
    ) -> None:
        self.message, self.help, self.of_array, self.of_file, self.is_bound = message, help, of_array, of_file, is_bound
        super().__init__(message)

    def at(self, option: str) -> OptionError:
        """The same as a fault of an option's value."""
        return (LimitError if self.is_bound else OptionError)(option, self.message, help=self.help)


class Archive:
    """The arrays of an open `.npz` file; raises ArchiveError where it is no archive, or a damaged one."""

    def __init__(self, stream: BinaryIO) -> None:
        start = stream.read(6)
        stream.seek(0)
        if start == b"\x93NUMPY":
            raise ArchiveError("holds one array without a name, not an archive", of_array=False)
        try:
            self._zip = ZipFile(stream)
            self._members = {info.filename.removesuffix(_ENDING): info for info in self._zip.infolist()}
        except Exception as error:  # whatever the bytes of a file make `zipfile` raise is a fault of the file
            raise ArchiveError("is not an archive of NumPy arrays", of_array=False) from error
        self._unpacked = 0

    @property
    def names(self) -> Sequence[str]:
        """The names of its arrays, in their order."""
        return list(self._members)

    def read(self, name: str) -> Array:
        """The array of this name; raises ArchiveError, KeyError where there is none."""
        info = self._members[name]
        try:
            return self._read(info, name)
        except ArchiveError:
            raise
        except MemoryError:
            raise ArchiveError(f"the array '{name}' needs more memory than there is") from None
        except Exception as error:  # as above
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ArchiveError(f"the array '{name}' cannot be read: {reason}") from error

    def _read(self, info: ZipInfo, name: str) -> Array:
        import numpy as np
        from numpy.lib import format as npy

        self._unpacked += info.file_size
        most = limit("unpacked")
        if most is not None and self._unpacked > most:
            message, help_ = beyond("unpacked", f"{self._unpacked:,}")
            raise ArchiveError(f"the array '{name}': {message}", help_, is_bound=True)
        with self._zip.open(info) as file:
            version = npy.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = npy.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = npy.read_array_header_2_0(file)
            else:
                raise ArchiveError(f"the array '{name}' has a format that is not supported: {version[0]}")
            if dtype.hasobject:
                # an array of objects is pickled, and a pickle can run any program
                message = f"'{name}' holds Python objects, which are never read"
                raise ArchiveError(message, "save an array of numbers", of_file=False)
            if any(size < 0 for size in shape):
                raise ArchiveError(f"the array '{name}' has an impossible shape in its header: {shape}")
            n_bytes = math.prod(shape) * dtype.itemsize
            if n_bytes > info.file_size:
                message = (
                    f"the array '{name}' has the shape {_shape(shape)} in its header, but only {info.file_size:,} bytes"
                )
                raise ArchiveError(message)
            has = machine_memory()
            if has is not None and n_bytes > has:
                raise ArchiveError(f"the array '{name}' has {n_bytes:,} bytes, more than this computer's memory")
            data = bytearray()
            while len(data) <= n_bytes and (part := file.read(_AT_ONCE)):
                data += part
        if len(data) != n_bytes:
            raise ArchiveError(f"the array '{name}' has {len(data):,} bytes instead of {n_bytes:,}")
        flat = np.frombuffer(data, dtype)
        return flat.reshape(shape[::-1]).transpose() if fortran else flat.reshape(shape)


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(f'{size:,}' for size in shape)}{',' * (len(shape) == 1)})"
