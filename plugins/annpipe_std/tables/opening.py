"""Opens the files of tables: unpacked, in UTF-8 whatever they are encoded in, with errors that name file and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from annpipe import UTF8, OptionError, check_bound, in_utf8, is_utf8, open_file, undecodable

if TYPE_CHECKING:
    import pyarrow as pa

_REMEDY = "check that it is the right file, and correct or remove the row"


@contextmanager
def unpacked(file: str, encoding: str = UTF8) -> Iterator[Any]:
    """A text file in UTF-8 as a stream of Arrow's, unpacked where its name says that it is packed."""
    import pyarrow as pa

    with open_file(file, option="files") as stream:
        try:
            kind = pa.Codec.detect(file).name
        except TypeError:  # Arrow raises this where the name shows no compression
            yield in_utf8(pa.input_stream(stream), encoding)
            return
        with pa.input_stream(stream, compression=kind) as plain:
            yield in_utf8(pa.PythonFile(_Counted(plain), mode="r"), encoding)


class _Counted:
    """A stream whose bytes are counted as they are unpacked: a small file may have many."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._bytes = 0
        self._context = copy_context()  # Arrow reads in threads of its own, which know nothing of the spec

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self._bytes += len(data)
        self._context.copy().run(check_bound, "unpacked", self._bytes, option="files")
        return data

    def close(self) -> None:
        self.closed = True


@contextmanager
def readable(file: str, encoding: str | None = None) -> Iterator[None]:
    """What Arrow says of a file that it cannot read becomes an OptionError.

    `encoding` is that of a text file: where it does not hold, this is what is wrong.
    """
    import pyarrow as pa

    try:
        yield
    except UnicodeError:  # of the names in UTF-8: Arrow keeps them as they stand in the file
        check_decodable([file], encoding or UTF8)
        raise
    except (pa.ArrowException, OSError, MemoryError) as error:
        if encoding:
            with suppress(pa.ArrowException, OSError, MemoryError):  # not read a second time
                check_decodable([file], encoding)
        raise OptionError("files", f"'{file}' cannot be read: {_plain(error)}", help=_REMEDY) from error


def check_decoded(files: Sequence[str], schema: pa.Schema, names: Sequence[str]) -> None:
    """Whether the named columns of CSV files are text or numbers: Arrow keeps other bytes as they are."""
    if any(str(schema.field(name).type) == "binary" for name in names):
        check_decodable(files, UTF8)


def check_decodable(files: Sequence[str], encoding: str) -> None:
    """Raises OptionError with the place of the first bytes that are no text of the encoding."""
    for file in files:

        def blocks(file: str = file) -> Iterator[bytes]:
            with unpacked(file) as stream:
                while block := stream.read(2**20):
                    yield block

        if fault := undecodable(blocks, encoding):
            raise OptionError("files" if is_utf8(encoding) else "encoding", f"'{file}' {fault[0]}", help=fault[1])


def _plain(error: Exception) -> str:
    """Arrow's own words without its prefixes: "line 3: Expected 2 columns, got 1: 3"."""
    text = re.sub(r"^Could not open Parquet input source '.*?': ", "", " ".join(str(error).split()))
    return text.removeprefix("CSV parse error: ").replace("Row #", "line ")[:200]
