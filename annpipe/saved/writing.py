"""Columns, block by block, into a CSV, Parquet or NumPy file, or as CSV to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa

from annpipe.errors import NotFound, RunError
from annpipe.files.descriptors import move

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

ENDINGS = (".csv", ".parquet", ".npz")


class _Sink(Protocol):
    def write(self, columns: Mapping[str, Array]) -> None: ...
    def close(self) -> None: ...


def check_ending(path: Path | None) -> None:
    """Raises NotFound for a file of a kind that is not written, before anything is computed."""
    if path is not None and path.suffix.lower() not in ENDINGS:
        raise NotFound(f"'{path}': answers are written as {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


class OutputFile:
    """Takes blocks of columns, (rows, …) each; the file is there when all of them are, and not before."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._new = path.with_name(f".{path.name}.{os.getpid()}") if path else None
        self._sink: _Sink | None = None

    def write(self, columns: Mapping[str, Array]) -> None:
        """Writes a block; raises RunError for rows of a shape in a file of columns."""
        shaped = next((name for name, column in columns.items() if column.ndim > 1), None)
        ending = self._path.suffix.lower() if self._path else ".csv"
        if shaped is not None and ending != ".npz":
            shape = columns[shaped].shape[1:]
            raise RunError(f"'{shaped}' has rows of the shape {shape}, which no table has: write `-o answers.npz`")
        if self._sink is None:
            if self._path:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = _Arrays(self._new) if ending == ".npz" and self._new else _Table(self._new, ending, columns)
        self._sink.write(columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._sink is not None:
            self._sink.close()
        if self._new is None or self._path is None or not self._new.exists():
            return
        if error is None:
            move(self._new, self._path)
        else:
            self._new.unlink()


class _Table:
    """A CSV or Parquet file, or CSV on standard output where there is no path."""

    def __init__(self, path: Path | None, ending: str, columns: Mapping[str, Array]) -> None:
        from pyarrow import csv, parquet

        schema = _batch(columns).schema
        self._file: Any = open(path, "wb") if path else sys.stdout.buffer  # noqa: SIM115  # closed by `close`
        self._is_own = path is not None
        if ending == ".parquet":
            self._writer: Any = parquet.ParquetWriter(self._file, schema)
        else:
            self._writer = csv.CSVWriter(self._file, schema, write_options=csv.WriteOptions(quoting_style="needed"))

    def write(self, columns: Mapping[str, Array]) -> None:
        self._writer.write_batch(_batch(columns))

    def close(self) -> None:
        self._writer.close()
        if self._is_own:
            self._file.close()
        else:
            self._file.flush()


class _Arrays:
    """A NumPy archive; its arrays are written whole, so they wait in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: dict[str, list[Array]] = {}

    def write(self, columns: Mapping[str, Array]) -> None:
        for name, column in columns.items():
            self._blocks.setdefault(name, []).append(column)

    def close(self) -> None:
        arrays = {name: np.concatenate(blocks) for name, blocks in self._blocks.items()}
        words = {name: array.astype(str) for name, array in arrays.items() if array.dtype == object}
        with open(self._path, "wb") as file:
            np.savez(file, **(arrays | words))  # type: ignore[arg-type]  # names of arrays, none of its own options


def _batch(columns: Mapping[str, Array]) -> pa.RecordBatch:
    """Words as text; NaN stays NaN in numbers, None is null in text."""
    arrays = [pa.array(column, pa.string() if column.dtype == object else None) for column in columns.values()]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))
