"""The model of an estimator that was fitted, as the files of a saved model, and what `partial_fit` goes on from."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from annpipe.contract import Dataset
from annpipe.portable.network import SavedNetwork
from annpipe.saved.model import sources_only
from annpipe.sklearn.training import Training


class Trained:
    """A trained model. A pickle has its files, and of one that `partial_fit` began also the rows and the state of the
    optimizer from which the training can be built again."""

    def __init__(
        self, training: Training | None = None, first: Dataset | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        """`training` goes on in this process; `first` are the rows that `partial_fit` began with. `files` are those of
        the model, where there is no training."""
        self.training, self.first = training, first
        self.state: dict[str, Any] | None = None
        if files is not None:
            self.files = files

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The files of the model by name, written when they are first asked for."""
        assert self.training is not None
        return self.training.saved()

    @cached_property
    def network(self) -> SavedNetwork:
        """The saved network: from raw columns to answers in the units of the data."""
        with tempfile.TemporaryDirectory(prefix="annpipe-") as folder, sources_only():
            for name, content in self.files.items():
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            return SavedNetwork(Path(folder))

    def __getstate__(self) -> dict[str, Any]:
        state = self.state if self.training is None else self.training.state
        return {"files": dict(self.files), "first": self.first, "state": state if self.first is not None else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.files, self.first, self.state, self.training = state["files"], state["first"], state["state"], None
