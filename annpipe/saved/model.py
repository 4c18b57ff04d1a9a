"""The model of a run's folder: which columns it takes, and what it answers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.errors import DataError, NotFound
from annpipe.files.whole import Damaged
from annpipe.portable.description import ModelColumn, ModelTarget
from annpipe.portable.network import DATE, DamagedModel, SavedNetwork
from annpipe.record.journal.seal import MODEL, check_own
from annpipe.saved.cells import DATES, NUMBERS, WHOLE, FileColumn, shown
from annpipe.saved.rows import TableFormat

if TYPE_CHECKING:
    import numpy as np
    import torch

    from annpipe.saved.rows import Block

    Array = np.ndarray[Any, Any]


@contextmanager
def sources_only() -> Iterator[None]:
    """Inside, Python neither reads nor writes what it compiled of the files that it imports.

    The seal of a run covers its sources: what lies compiled beside them could be of others.
    """
    before = sys.dont_write_bytecode, sys.pycache_prefix
    with tempfile.TemporaryDirectory(prefix="annpipe-") as empty:
        sys.dont_write_bytecode, sys.pycache_prefix = True, empty
        try:
            yield
        finally:
            sys.dont_write_bytecode, sys.pycache_prefix = before


@contextmanager
def _whole(run: str) -> Iterator[None]:
    """Whatever a file of a saved model raises that was changed or cut becomes a DataError."""
    try:
        yield
    except DamagedModel:
        raise
    except Exception as error:  # network.py is code, and the others may hold anything by now
        text = " ".join(str(error).split())[:200]
        message = f"the model of {run} cannot be loaded: {type(error).__name__}: {text}"
        raise DataError(message, "its files have changed since it was saved: run its spec again") from error


def _network(folder: Path, run: str) -> SavedNetwork:
    with _whole(run):
        return SavedNetwork(folder)


class SavedModel:
    """A run's network in evaluation mode, between files of raw rows and answers."""

    def __init__(self, run: Path, *, trust: bool = False) -> None:
        """Loads the model of the run's folder, and runs its network.py.

        Raises NotFound where there is none, Damaged where its files are not those that were saved, DataError where they
        cannot be loaded, and NotTrusted where the run is not known as the user's own, unless `trust` says that it is.
        """
        folder = run / MODEL
        if not (folder / "weights.safetensors").is_file():
            raise NotFound(f"the run {run.name} has no model: it did not finish; `annpipe resume {run.name}` goes on")
        check_own(run, MODEL, trusted=trust)
        self.folder = folder
        try:
            with sources_only():
                self.network = _network(folder, run.name)
        except DamagedModel as error:
            raise Damaged(str(error)) from error
        self.description = self.network.description
        if self.description.targets is None:
            raise NotFound(f"the model of {run.name} was saved by an earlier annpipe; run its spec again")
        self.targets: tuple[ModelTarget, ...] = self.description.targets
        """What it answers, target by target."""
        with _whole(run.name):
            _ = self.reading

    @property
    def reading(self) -> TableFormat:
        """How the run's own data was written."""
        return TableFormat.of(self.description.reading)

    @property
    def inputs(self) -> list[FileColumn]:
        """The columns that the model takes."""
        return [_wanted(column) for column in self.description.inputs]

    def columns(self, block: Block, source: str) -> list[Array]:
        """The inputs of a block as a dataset has them: words become positions among the categories.

        Raises DataError at a word of a boolean that is neither of the two.
        """
        inputs = self.description.inputs
        try:
            return self.network.columns({column.name: cells for column, cells in zip(inputs, block, strict=False)})
        except ValueError as error:
            raise DataError(f"{shown(source)}: {error}", "correct the cell, or leave it empty") from error

    def outputs(self, columns: Sequence[Array]) -> torch.Tensor:
        """What the network gives for columns, (rows, …)."""
        return self.network.outputs(self.network.features(columns))

    def unknown_words(self, columns: Sequence[Array]) -> dict[str, int]:
        """For each column of categories, how many rows have a word that training had not."""
        pairs = zip(self.description.inputs, columns, strict=True)
        counts = {column.name: int((cells == -1).sum()) for column, cells in pairs if column.categories}
        return {name: count for name, count in counts.items() if count}


def _wanted(column: ModelColumn) -> FileColumn:
    if column.categories:
        return FileColumn(column.name, categories=column.categories)
    if column.counted is not None:
        return FileColumn(column.name)
    if column.type == DATE:
        return FileColumn(column.name, DATES)
    is_whole = column.type != "double"
    return FileColumn(column.name, WHOLE if is_whole else NUMBERS, column.shape, may_lack=not is_whole)
