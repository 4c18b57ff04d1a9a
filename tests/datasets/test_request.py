"""What decides the rows of a run decides the key under which they are kept on disk, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from annpipe.contract import ChunkedDataset, Dataset
from annpipe.datasets.on_disk.passes import ChunkPasses
from annpipe.datasets.request import DataRequest, PassCache, fit_transforms, transformed_once
from tests.datasets.tables import chunked, table
from tests.training import Planned

SPEC = """
version: 1
name: request
seed: 5
data:
  formula: {rows: 20, inputs: {x: {Uniform: [-1, 1]}, z: {Uniform: [0, 1]}}, targets: {y: 2*x}}
  transforms: {x: standardize}
  split: {val: 0.2}
model:
  inputs: {first: {columns: [z], layers: [Linear: 2]}, second: {columns: [x], layers: [Linear: 2]}}
  layers: [Linear: 1]
loss: MSELoss
optimizer: {SGD: {lr: 0.1}}
train: {epochs: 1}
"""
DATA = chunked(table())


@pytest.fixture
def request_(planned: Planned) -> DataRequest:
    return planned(SPEC).request


def test_a_plan_holds_the_request_for_its_rows(planned: Planned) -> None:
    plan = planned(SPEC)
    request = plan.request
    assert (request.data, request.split, request.seed) == (plan.data, plan.split, 5)
    assert request.stacks == (("z",), ("x",))
    assert list(request.fields.inputs) == ["x", "z"]
    assert request.fields.features is None, "the fields are those of the data, before the transforms"
    assert plan.fields.features == (2,)
    assert not request.takes_classes


def test_the_key_is_of_all_that_decides_the_rows(request_: DataRequest) -> None:
    others = [
        replace(request_, seed=6),
        replace(request_, split=request_.split.model_copy(update={"val": 0.3})),
        replace(request_, transforms=()),
        replace(request_, takes_classes=True),
        replace(request_, stacks=()),
    ]
    keys = {request.key(DATA, torch.float32) for request in [request_, *others]}
    keys |= {request_.key(DATA, torch.float64), request_.key(replace_digest("other"), torch.float32)}
    assert len(keys) == 8
    same = replace(request_, widths=(2,), labels=("y",))
    assert same.key(DATA, torch.float32) == request_.key(DATA, torch.float32)


def replace_digest(digest: str) -> ChunkedDataset:
    """The same data with another digest."""
    return ChunkedDataset(DATA.fields, digest, DATA.iter_chunks)


def test_rows_are_kept_in_the_cache_folder(
    request_: DataRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    key = request_.key(DATA, torch.float32)
    assert request_.folder(DATA, torch.float32) == tmp_path / "annpipe" / "rows" / key


TRANSFORMED = """
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
    fitted = fit_transforms(planned(TRANSFORMED).request, TRAIN)
    once = transformed_once(fitted)
    assert once.features(TRAIN.inputs, torch.float64).tolist() == [[-1], [1]]
    assert once.targets is not None
    assert once.targets(torch.tensor([[30.0]])).tolist() == [[1]]


def test_predictions_come_back_with_their_variance(planned: Planned) -> None:
    """The model has two outputs for y, a mean and a variance, which is in squared units."""
    request = planned(TRANSFORMED).request
    assert (request.widths, request.variances) == ((2,), (1,))
    targets = transformed_once(fit_transforms(request, TRAIN)).targets
    assert targets is not None
    assert targets.inverse(torch.tensor([[1.0, 0.5]])).tolist() == [[30, 50]]


def test_without_transforms_nothing_is_fitted(planned: Planned) -> None:
    request = replace(planned(TRANSFORMED).request, transforms=())
    assert fit_transforms(request, TRAIN) is None
    assert transformed_once(None).columns is None


def test_the_passes_are_made_once_for_a_key() -> None:
    made: list[str] = []

    def read(key: str) -> Any:
        return lambda: made.append(key) or cast(ChunkPasses, object())

    cache = PassCache()
    first = cache.get("one", read("one"))
    assert cache.get("one", read("one")) is first
    assert cache.get("two", read("two")) is not first
    assert cache.get("one", read("one")) is not first, "only the last ones are kept"
    assert made == ["one", "two", "one"]


def test_a_cleared_cache_makes_them_again() -> None:
    cache = PassCache()
    first = cache.get("one", lambda: cast(ChunkPasses, object()))
    cache.clear()
    assert cache.get("one", lambda: cast(ChunkPasses, object())) is not first
