"""DataRequest → PreparedData: the rows of a run, split and transformed, as tensors or, where chunked, on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from annpipe.contract import ChunkedDataset, Dataset
from annpipe.datasets.chunked import chunked_rows
from annpipe.datasets.fields import declaration_faults
from annpipe.datasets.on_disk.rows import OnDiskRows
from annpipe.datasets.request import DataRequest, fit_transforms, transformed_once
from annpipe.datasets.steps.categories import known_categories
from annpipe.datasets.steps.make import make_data
from annpipe.datasets.steps.splits import Splits, split_dataset
from annpipe.datasets.steps.tensors import Rows, Transformed, to_tensors
from annpipe.datasets.steps.transforms import Fitted
from annpipe.errors import SpecError
from annpipe.observer import Observer


@dataclass(frozen=True)
class PreparedData:
    """The dataset, its splits, the rows of each split as they are trained on, and the transforms.

    `splits` has the rows as datasets; of chunked data it has samples. `fitted` are all transforms, fitted on the train
    split; `transformed` are those of them that have been applied to `rows`.
    """

    dataset: Dataset | ChunkedDataset
    splits: Splits
    rows: Mapping[str, Rows | OnDiskRows]
    fitted: Fitted | None
    transformed: Transformed


def prepare_rows(request: DataRequest, device: torch.device, dtype: torch.dtype, observer: Observer) -> PreparedData:
    """Makes, splits and transforms the data of a run; `observer` is told of rows that are written to disk."""
    data = make_data(request.data, request.seed, request.split.columns)
    if faults := declaration_faults(request.data, request.fields, data):
        raise SpecError(faults)
    if isinstance(data, ChunkedDataset):
        return PreparedData(data, *chunked_rows(request, data, device, dtype, observer))
    splits = known_categories(split_dataset(data, request.split, request.seed), request.fields)
    fitted = fit_transforms(request, splits.train)
    transformed = transformed_once(fitted)
    rows = {
        name: to_tensors(part, device, dtype, classes=request.takes_classes, columns=transformed, labels=request.labels)
        for name, part in splits.by_name.items()
    }
    return PreparedData(data, splits, rows, fitted, transformed)
