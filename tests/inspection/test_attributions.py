"""Attributions by captum: the sum rule, the numbers of a linear model, by raw columns; what it cannot do is refused."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from annpipe.contract import Dataset
from annpipe.datasets.steps.tensors import Transformed
from annpipe.errors import DataError
from annpipe.inspection.attributions import METHODS, attribute
from annpipe.inspection.subject import ModelSubject
from annpipe.portable.description import ModelTarget
from tests.inspection.conftest import Inspector

COMPLETE = [name for name, method in METHODS.items() if method.is_complete]
TARGET = ModelTarget(name="y", shape=(), span=(0, 1), labels=False, words=(), classes=None, gives=None)


def subject(network: torch.nn.Module, **columns: torch.Tensor) -> ModelSubject:
    """A network over raw columns, without transforms."""
    return ModelSubject(network, Transformed(), Dataset(columns, {}), "rows", (TARGET,), torch.float32, None)


def drawn(rows: int = 12) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(3)
    return {name: torch.randn(rows, generator=source, dtype=torch.float64) for name in ("a", "b", "c")}


@pytest.mark.parametrize("method", COMPLETE)
def test_a_linear_model_adds_its_weights_times_the_distances(method: str) -> None:
    """From the mean row: w (x - mean x), which every complete method gives; the bias plays no part."""
    network, columns = torch.nn.Sequential(torch.nn.Linear(3, 1)), drawn()
    (found,) = attribute(subject(network, **columns), method)
    x = torch.stack(list(columns.values()), 1).float().double()
    expected = network[0].weight.detach().double() * (x - x.mean(0))
    assert found.columns == ("a", "b", "c")
    assert torch.allclose(found.values, expected, atol=1e-6)
    assert found.largest_gap < 1e-6  # captum adds Shapley values up in single precision


@pytest.mark.parametrize("method", COMPLETE)
def test_attributions_add_up_to_the_answer(method: str) -> None:
    """Of a network with kinks: exactly for two methods, and as well as 200 steps of the path for the third."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    (found,) = attribute(subject(network, **drawn()), method)
    assert found.gaps is not None
    assert torch.allclose(found.values.sum(1) - (found.answers - found.baseline), found.gaps)
    assert found.largest_gap < (1e-3 if method == "integrated_gradients" else 1e-6)
    assert float(found.answers.std()) > 0.05


def test_other_methods_promise_no_sum() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 1))
    for method in ("saliency", "input_x_gradient", "feature_ablation"):
        (found,) = attribute(subject(network, **drawn()), method)
        assert found.gaps is None
    saliency = attribute(subject(network, **drawn()), "saliency")[0]
    assert torch.allclose(saliency.values, network[0].weight.detach().abs().double().expand(12, 3))


def test_features_of_one_column_are_added_up(project: Inspector) -> None:
    """The command has one number for a column of three words, and the sum rule of the predicted class."""
    code, printed, said = project.call("inspect", "flowers", "--attributions", "integrated_gradients", "--json")
    assert code == 0, said
    (found,) = json.loads(printed)["attributions"]
    assert found["target"] == "kind"
    assert sorted(found["columns"]) == ["length", "noise", "soil"]
    by_column = dict(zip(found["columns"], found["mean_absolute"]["values"], strict=True))
    assert by_column["noise"] < min(by_column["length"], by_column["soil"])
    assert found["largest_gap"] < 0.01 * found["largest_difference"]


def test_numbers_are_attributed_in_the_units_of_the_data(project: Inspector) -> None:
    code, printed, _ = project.call("inspect", "curve", "--attributions", "shapley_values", "--rows", "20", "--json")
    (found,) = json.loads(printed)["attributions"]
    assert (code, found["rows"]) == (0, 20)
    assert max(found["mean_absolute"]["values"]) > 200
    assert found["largest_gap"] < 1e-6 * found["largest_difference"]


def test_tokens_have_no_gradient() -> None:
    network = torch.nn.Sequential(torch.nn.Embedding(5, 2), torch.nn.Flatten(), torch.nn.Linear(2, 1))
    with pytest.raises(DataError, match="whole numbers"):
        attribute(subject(network, token=torch.tensor([1, 2, 3])), "saliency")


def test_without_captum_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, project: Inspector) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    code, _, said = project.call("inspect", "flowers", "--attributions", "saliency")
    assert code == 2
    assert "pip install 'annpipe[explain]'" in said
