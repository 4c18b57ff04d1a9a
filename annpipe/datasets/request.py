"""What decides the rows of a run: `DataRequest`, built from a draft in one place, and its transforms once fitted."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from annpipe.contract import ChunkedDataset, Dataset, Fields
from annpipe.datasets.on_disk.passes import ChunkPasses
from annpipe.datasets.steps.tensors import Transformed
from annpipe.datasets.steps.transforms import Fitted, Learning, by_fitting, fit_columns
from annpipe.draft.component import Component
from annpipe.draft.inputs_outputs import is_inputs, stack_columns
from annpipe.draft.losses import takes_classes
from annpipe.draft.sections import Draft
from annpipe.draft.transforms import Transforming
from annpipe.files.named import NamedFault, content
from annpipe.files.private import cache_folder
from annpipe.spec.sections.models import Split

FORMAT = 2  # of the rows on disk; since rows have check sums


class PassCache:
    """The passes over the data that were asked for last; one cache serves all plans of a sweep.

    `declared` are the data that were found to be as their plugin declares them.
    """

    def __init__(self) -> None:
        self.declared: set[str] = set()
        self._key: str | None = None
        self._passes: ChunkPasses | None = None

    def get(self, key: str, read: Callable[[], ChunkPasses]) -> ChunkPasses:
        """The passes under this key, otherwise those that `read` makes."""
        if self._passes is None or key != self._key:
            self._key, self._passes = key, read()
        return self._passes

    def clear(self) -> None:
        """Frees the memory of the passes; they are made again when they are asked for."""
        self._key = self._passes = None


@dataclass(frozen=True)
class DataRequest:
    """The rows that a run needs; device and precision are chosen where they are prepared.

    `takes_classes` tells that the loss compares with class labels, and `labels` names the targets of heads whose losses
    do. `stacks` has the inputs of each stack of `model.inputs`. `widths` and `variances` describe outputs of a model
    that are not values of targets, as `Fitted` has them. `passes` keeps what was read of chunked data.
    """

    data: Component
    fields: Fields
    split: Split
    seed: int
    transforms: tuple[Transforming, ...]
    stacks: tuple[tuple[str, ...], ...]
    takes_classes: bool
    labels: tuple[str, ...]
    widths: tuple[int, ...] = ()
    variances: tuple[int | None, ...] = ()
    passes: PassCache = field(default_factory=PassCache, compare=False, repr=False)

    def key(self, data: ChunkedDataset, dtype: torch.dtype) -> str:
        """A digest of all that decides the rows of chunked data as they are trained on."""
        files = [_content(file) for file in self.split.files.values()]
        steps = [step for part in self.transforms for step in part.steps]
        facts: list[object] = [FORMAT, data.digest, list(self.fields.inputs), list(self.fields.targets)]
        facts += [self.split.model_dump(), self.seed, files, str(dtype), self.takes_classes, self.stacks]
        facts += [(part.columns, [step.to_data() for step in part.steps]) for part in self.transforms]
        facts += [_source(step) for step in steps]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]

    def folder(self, data: ChunkedDataset, dtype: torch.dtype) -> Path:
        """Where rows on disk are kept for these data."""
        return cache_folder() / "rows" / self.key(data, dtype)


def data_request(drafted: Draft, fields: Fields, passes: PassCache | None = None) -> DataRequest:
    """The rows that a draft asks for, whose data have these fields."""
    spec = drafted.spec
    inputs = [layer for layer in drafted.model if is_inputs(layer)]
    return DataRequest(
        data=drafted.data,
        fields=fields,
        split=spec.split,
        seed=spec.head.seed,
        transforms=drafted.transforms,
        stacks=tuple(names for layer in inputs for names in stack_columns(layer.options["columns"], fields)),
        takes_classes=takes_classes(drafted.loss),
        labels=tuple(head.name for head in drafted.outputs if takes_classes(head.loss)),
        passes=passes or PassCache(),
    )


def _content(file: str) -> bytes:
    """The bytes of a split file; empty where it cannot be read, since splitting reports that."""
    try:
        return content(file, bound="split file")
    except NamedFault:
        return b""


def _source(transform: Component) -> str:
    """A digest of the file that a transform is written in."""
    file = inspect.getsourcefile(transform.load())
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def fit_transforms(request: DataRequest, train: Dataset, learn: Learning = by_fitting) -> Fitted | None:
    """The transforms fitted on the train split, None where there are none; raises SpecError where one refuses."""
    if not request.transforms:
        return None
    fitted = fit_columns(request.transforms, request.fields, train, request.seed, request.stacks, learn)
    return replace(fitted, widths=request.widths, variances=request.variances)


def transformed_once(fitted: Fitted | None) -> Transformed:
    """The transforms that are applied once to each split, before training."""
    return Transformed(fitted.columns(fitted.before), fitted.target_columns) if fitted else Transformed()
