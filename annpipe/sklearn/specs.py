"""The spec that an estimator trains: the user's own with its data replaced by X and y, or one made of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from annpipe.contract import Dataset
from annpipe.draft.draft import draft
from annpipe.draft.sections import Draft
from annpipe.record.journal.project import find_project
from annpipe.registry.registry import Registry
from annpipe.runs.plans import IN_MEMORY
from annpipe.spec import read_spec
from annpipe.spec.compose.extends import extended
from annpipe.spec.compose.overrides import override
from annpipe.spec.compose.variables import substituted
from annpipe.spec.sections.models import Split
from annpipe.spec.sections.spec import BESIDE_DATA
from annpipe.spec.yaml.nodes import MappingNode
from annpipe.spec.yaml.reader import read_file, read_text

CALLED = "the estimator's spec"
MOST_ROWS_OF_BATCH = 200


@dataclass(frozen=True)
class Options:
    """What an estimator trains where no spec says it; None stands for the default."""

    hidden: Sequence[int] | None = None
    activation: str | None = None
    lr: float | None = None
    epochs: int | None = None
    batch_size: int | str | None = None
    device: str | None = None
    precision: str | None = None

    @property
    def named(self) -> list[str]:
        """The options that are given."""
        return [name for name, value in vars(self).items() if value is not None]

    def spec(self, dataset: Dataset, *, loss: str, n_outputs: int) -> dict[str, Any]:
        """A fully connected network on scaled numbers and categories as columns of 0 and 1, trained by Adam."""
        hidden = (100,) if self.hidden is None else (self.hidden,) if isinstance(self.hidden, int) else self.hidden
        layers = [layer for width in hidden for layer in ({"Linear": int(width)}, self.activation or "ReLU")]
        return {
            "version": 1,
            "name": "estimator",
            "device": {"type": self.device or "cpu", "precision": self.precision or "float64"},
            "data": {"transforms": _transforms(dataset)},
            "model": [*layers, {"Linear": n_outputs}],
            "loss": loss,
            "optimizer": {"Adam": {"lr": 0.01 if self.lr is None else float(self.lr)}},
            "train": {"epochs": self.epochs or 200, "batch_size": self._batch_size(dataset.rows)},
        }

    def _batch_size(self, n_rows: int) -> int | str:
        if self.batch_size is not None:
            return self.batch_size if isinstance(self.batch_size, str) else int(self.batch_size)
        return "all" if n_rows <= MOST_ROWS_OF_BATCH else MOST_ROWS_OF_BATCH


def _transforms(dataset: Dataset) -> dict[str, Any]:
    words = [name for name in dataset.inputs if name in dataset.categories]
    scaled: dict[str, Any] = {name: "standardize" for name in dataset.targets if name not in dataset.categories}
    if len(words) < len(dataset.inputs):
        scaled["number"] = [{"impute": "median"}, "standardize"]
    return scaled | ({"category": "one_hot"} if words else {})


def estimator_draft(
    spec: str | Path | Mapping[str, Any],
    overrides: Sequence[str],
    dataset: Dataset,
    *,
    seed: int | None,
    base: Path | None = None,
    without_split: bool = False,
) -> Draft:
    """The draft of a spec, the path or text of one or its data, that trains on `dataset`; raises SpecError.

    `base` is the folder that paths in the spec start from where it is not its own.
    """
    root, file, own_base = _root(spec)
    for text in [*overrides, *([] if seed is None else [f"seed={seed}"])]:
        root = override(root, text)
    filled = substituted(_with_rows(root))
    read = read_spec(filled.root, file)
    read = replace(read, problems=(*filled.problems, *read.problems), unfilled=filled.unfilled, base=base or own_base)
    read = replace(read, split=Split()) if without_split else read
    registry = _installed().copy()
    registry.add(_component(dataset), kind="data", name=IN_MEMORY)
    return draft(read, registry, project=find_project())


@cache
def _installed() -> Registry:
    return Registry.installed()


def _component(dataset: Dataset) -> Callable[[], Dataset]:
    def in_memory() -> Dataset:
        """The rows that an estimator was fitted to."""
        return dataset

    return in_memory


def as_file(spec: str | Path | Mapping[str, Any], folder: Path) -> tuple[Path, Path | None]:
    """A spec as a file, which is made in `folder` where it is none, and the folder that its paths then start from."""
    if not isinstance(spec, Mapping) and "\n" not in str(spec):
        return Path(spec), None
    path = folder / "estimator.yaml"
    path.write_text(_text(spec), encoding="utf-8", newline="\n")
    return path, Path.cwd()


def _text(spec: str | Path | Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True) if isinstance(spec, Mapping) else str(spec)


def _root(spec: str | Path | Mapping[str, Any]) -> tuple[MappingNode, str, Path | None]:
    """The nodes of a spec, what to call its file, and where its paths start from if that is not its own folder."""
    if isinstance(spec, Mapping) or "\n" in str(spec):
        return read_text(_text(spec), CALLED), CALLED, Path.cwd()
    path = Path(spec)
    return extended(read_file(path), path), str(path), None


def _with_rows(root: MappingNode) -> MappingNode:
    """The spec whose data are X and y: what it says beside its own data component stays."""
    (key, rows), *_ = read_text(f"data: {{{IN_MEMORY}: {{}}}}", CALLED).pairs
    data = root.get("data")
    assert isinstance(rows, MappingNode)
    if isinstance(data, MappingNode):
        rows = replace(rows, pairs=(*rows.pairs, *(pair for pair in data.pairs if pair[0].value in BESIDE_DATA)))
    others = tuple(pair for pair in root.pairs if pair[0].value != "data")
    return replace(root, pairs=(*others, (key, rows)))
