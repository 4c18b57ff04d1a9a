"""The model of a run's folder: which columns it takes, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annpipe.errors import DataError, NotFound
from annpipe.record.answering import SavedNetwork
from annpipe.saved.cells import NUMBERS, WHOLE, Wanted, shown
from annpipe.saved.rows import Reading

if TYPE_CHECKING:
    import numpy as np
    import torch

    from annpipe.saved.rows import Block

    Array = np.ndarray[Any, Any]

TOLD = ("name", "span", "labels", "shape", "classes", "words", "gives")  # of each target
MODEL = "model"  # the folder of a run that its model is in


@contextmanager
def _whole(run: str) -> Iterator[None]:
    """Whatever a file of a saved model raises that was changed or cut becomes a DataError."""
    try:
        yield
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


class SavedModel:
    """A run's network in evaluation mode, between files of raw rows and answers."""

    def __init__(self, run: Path) -> None:
        """Loads the model of the run's folder, and runs its network.py; raises NotFound where there is none, and
        DataError where its files are broken.
        """
        folder = run / MODEL
        if not (folder / "weights.safetensors").is_file():
            raise NotFound(f"the run {run.name} has no model: it did not finish; `annpipe resume {run.name}` goes on")
        self.folder = folder
        self.network = _network(folder, run.name)
        self.description = self.network.description
        if "targets" not in self.description:
            raise NotFound(f"the model of {run.name} was saved by an earlier annpipe; run its spec again")
        with _whole(run.name):
            _ = self.reading, self.inputs, [target[key] for target in self.targets for key in TOLD]

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
            return Wanted(item["name"])
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
