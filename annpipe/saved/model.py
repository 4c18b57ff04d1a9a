"""The model of a run's folder: which columns it takes, and what it answers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.errors import DataError, NotFound
from annpipe.files.whole import Damaged
from annpipe.portable.network import DamagedModel, SavedNetwork
from annpipe.record.journal.seal import MODEL, check_own
from annpipe.saved.cells import NUMBERS, WHOLE, Wanted, shown
from annpipe.saved.rows import Reading

if TYPE_CHECKING:
    import numpy as np
    import torch

    from annpipe.saved.rows import Block

    Array = np.ndarray[Any, Any]

TOLD = ("name", "span", "labels", "shape", "classes", "words", "gives")  # of each target


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
        said = " ".join(str(error).split())[:200]
        message = f"the model of {run} cannot be loaded: {type(error).__name__}: {said}"
        raise DataError(message, "its files have changed since it was saved: run its spec again") from error


def _network(folder: Path, run: str) -> SavedNetwork:
    with _whole(run):
        network = SavedNetwork(folder)
        if not isinstance(network.description, dict):
            raise TypeError("model.json holds no object")
        return network


def _check_types(description: Mapping[str, Any]) -> None:
    """Raises TypeError where a name, a shape or the classes in model.json are not of their types."""
    for item in (*description["inputs"], *description["targets"]):
        is_named = bool(item.get("labels")) and not item["shape"]
        right = {
            "name": isinstance(item["name"], str),
            "shape": _is_list_of(item["shape"], int),
            "categories": item.get("categories") is None or _is_list_of(item["categories"], str),
            "classes": _is_list_of(item.get("classes"), str) or (item.get("classes") is None and not is_named),
            "span": item.get("span") is None or (_is_list_of(item["span"], int) and len(item["span"]) == 2),
        }
        if wrong := [key for key, is_right in right.items() if not is_right]:
            raise TypeError(f"'{wrong[0]}' in model.json is {item[wrong[0]]!r}"[:200])


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(type(one) is kind for one in value)


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
        if "targets" not in self.description:
            raise NotFound(f"the model of {run.name} was saved by an earlier annpipe; run its spec again")
        with _whole(run.name):
            _ = self.reading, self.inputs, [target[key] for target in self.targets for key in TOLD]
            _check_types(self.description)

    @property
    def reading(self) -> Reading:
        """How the run's own data was written."""
        return Reading.of(self.description["reading"])

    @property
    def inputs(self) -> list[Wanted]:
        """The columns that the model takes."""
        return [self._wanted(item) for item in self.description["inputs"]]

    @property
    def targets(self) -> list[dict[str, Any]]:
        """What it answers, target by target, as model.json describes it."""
        found: list[dict[str, Any]] = self.description["targets"]
        return found

    def _wanted(self, item: dict[str, Any]) -> Wanted:
        if item.get("categories"):
            return Wanted(item["name"], categories=tuple(item["categories"]))
        is_whole = item["type"] != "double"
        return Wanted(item["name"], WHOLE if is_whole else NUMBERS, tuple(item["shape"]), may_lack=not is_whole)

    def columns(self, block: Block, source: str) -> list[Array]:
        """The inputs of a block as a dataset has them: words become positions among the categories.

        Raises DataError at a word of a boolean that is neither of the two.
        """
        inputs = self.description["inputs"]
        try:
            return self.network.columns({item["name"]: cells for item, cells in zip(inputs, block, strict=False)})
        except ValueError as error:
            raise DataError(f"{shown(source)}: {error}", "mend the cell, or leave it empty") from error

    def outputs(self, columns: Sequence[Array]) -> torch.Tensor:
        """What the network gives for columns, (rows, …)."""
        return self.network.outputs(self.network.features(columns))

    def unknown_words(self, columns: Sequence[Array]) -> dict[str, int]:
        """For each column of categories, how many rows have a word that training had not."""
        named = zip(self.description["inputs"], columns, strict=True)
        counts = {item["name"]: int((column == -1).sum()) for item, column in named if item.get("categories")}
        return {name: count for name, count in counts.items() if count}
