"""The transforms of a request, fitted on the train split, and those of them that are applied once."""

from __future__ import annotations

from dataclasses import replace

from annpipe.contract import Dataset
from annpipe.datasets.request import DataRequest
from annpipe.datasets.steps.tensors import Transformed
from annpipe.datasets.steps.transforms import Fitted, Learning, by_fitting, fit_columns


def fit_transforms(request: DataRequest, train: Dataset, learn: Learning = by_fitting) -> Fitted | None:
    """The transforms fitted on the train split, None where there are none; raises SpecError where one refuses."""
    if not request.transforms:
        return None
    fitted = fit_columns(request.transforms, request.fields, train, request.seed, request.stacks, learn)
    return replace(fitted, widths=request.widths, variances=request.variances)


def transformed_once(fitted: Fitted | None) -> Transformed:
    """The transforms that are applied once to each split, before training."""
    return Transformed(fitted.columns(fitted.before), fitted.target_columns) if fitted else Transformed()
