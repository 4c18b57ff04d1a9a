"""The transforms of a request are fitted to its train split, and know the outputs of the model."""

from __future__ import annotations

from dataclasses import replace

import torch

from annpipe.contract import Dataset
from annpipe.datasets.fit import fit_transforms, transformed_once
from tests.training import Planned

SPEC = """
version: 1
name: fitted
data:
  formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: 2*x}}
  transforms: {x: standardize, y: standardize}
model: [Linear: 2, mean_variance]
loss: GaussianNLLLoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""
TRAIN = Dataset({"x": torch.tensor([0.0, 2.0])}, {"y": torch.tensor([10.0, 30.0])})


def test_transforms_are_those_of_the_rows_they_are_given(planned: Planned) -> None:
    fitted = fit_transforms(planned(SPEC).request, TRAIN)
    once = transformed_once(fitted)
    assert once.features(TRAIN.inputs, torch.float64).tolist() == [[-1], [1]]
    assert once.targets is not None
    assert once.targets(torch.tensor([[30.0]])).tolist() == [[1]]


def test_predictions_come_back_with_their_variance(planned: Planned) -> None:
    """The model has two outputs for y, a mean and a variance, which is in squared units."""
    request = planned(SPEC).request
    assert (request.widths, request.variances) == ((2,), (1,))
    targets = transformed_once(fit_transforms(request, TRAIN)).targets
    assert targets is not None
    assert targets.inverse(torch.tensor([[1.0, 0.5]])).tolist() == [[30, 50]]


def test_without_transforms_nothing_is_fitted(planned: Planned) -> None:
    request = replace(planned(SPEC).request, transforms=())
    assert fit_transforms(request, TRAIN) is None
    assert transformed_once(None).columns is None
