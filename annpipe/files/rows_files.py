"""Files of rows that a person names: whether one is there, its format by its name, and its bytes unpacked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

from annpipe.errors import DataError, NotFound
from annpipe.errors.suggest import did_you_mean
from annpipe.files.named import fault_of

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".jsonl": "json_lines",
    ".ndjson": "json_lines",
}
PACKED = (".gz", ".bz2", ".zst")


def format_of(file: Path | str) -> str | None:
    """What a file of this name holds, as "csv", whatever packs it; None where the name tells of no rows."""
    suffixes = [suffix.lower() for suffix in Path(file).suffixes if suffix not in PACKED]
    return FORMATS.get(suffixes[-1]) if suffixes else None


def check_there(path: Path, source: str) -> None:
    """Raises NotFound where there is no such file, with a name that may be meant, and DataError for an empty one."""
    try:
        size = os.stat(path).st_size
        if path.is_dir():
            raise NotFound(f"the file '{source}' is a folder")
    except FileNotFoundError:
        near = did_you_mean(path.name, [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else [])
        raise NotFound(f"the file '{source}' does not exist" + (f"; {near}" if near else "")) from None
    except ValueError:
        raise NotFound("the path has a NUL character, which no file's name can have") from None
    except OSError as error:
        raise NotFound(str(fault_of(error, source))) from error
    if not size and path.is_file():
        raise DataError(f"'{source}' is empty", "it needs a row of names and rows of values")


def unpacked(file: BinaryIO, source: str) -> Any:
    """The bytes of a file, as a stream of Arrow's, unpacked where its name says that it is packed."""
    import pyarrow as pa

    try:
        kind = pa.Codec.detect(source).name
    except TypeError:  # what Arrow says where the name tells of none
        kind = None
    return pa.input_stream(file, compression=kind)
