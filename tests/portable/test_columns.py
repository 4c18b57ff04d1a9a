"""Columns go through their steps by groups, and predictions come back in the units of the targets."""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import nn

from annpipe.portable.columns import Columns, Model, Targets, Whole, begun_with


class Scale(nn.Module):
    """y = (x - mean) / deviation, and back."""

    def __init__(self, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([mean], dtype=torch.float64))
        self.register_buffer("deviation", torch.tensor([deviation], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.deviation

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.deviation + self.mean


X = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)


def test_groups_stand_side_by_side() -> None:
    columns = Columns([((2, 0), [Scale(1), Scale(0, 2)]), ((1,), [])])
    assert columns(X).tolist() == [[1, 0, 2]]


def test_predictions_come_back_and_a_variance_by_the_square_of_the_scale() -> None:
    targets = Targets([[Scale(10, 2)], [Scale(0, 3)]], widths=[2, 1], variances=[1, None])
    assert targets(torch.tensor([[12.0, 3.0]], dtype=torch.float64)).tolist() == [[1, 1]]
    assert targets.inverse(torch.tensor([[1.0, 0.5, 1.0]])).tolist() == [[12, 2, 3]]
    assert targets.inverse(torch.tensor([[1.0, 1.0]])).tolist() == [[12, 3]], "as many numbers as targets are targets"


def test_a_model_takes_raw_rows_and_answers_in_units_of_the_data() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.ones_(network[0].weight)  # type: ignore[arg-type]  # a Linear's
    model = Model(Columns([((0,), [Scale(1, 2)])]), network, Targets([[Scale(5)]]), torch.float32)
    assert model(torch.tensor([[3.0]])).tolist() == [[6]]


def test_a_state_of_another_size_is_loaded() -> None:
    """What a transform has fitted has a size that only the state knows."""
    fitted = Columns([((0,), [Scale()])])
    fitted.steps[0][0].mean = torch.tensor([1.0, 2.0])  # type: ignore[index, union-attr]  # a Sequential of a Scale
    empty = copy.deepcopy(Columns([((0,), [Scale()])]))
    empty.load_state_dict(fitted.state_dict())
    assert empty.state_dict()["steps.0.0.mean"].tolist() == [1, 2]


def test_layers_keep_their_names_behind_columns() -> None:
    stack = begun_with(Whole(nn.Flatten()), nn.Sequential(nn.Linear(4, 2), nn.Tanh()))
    assert list(OrderedDict(stack.named_children())) == ["columns", "0", "1"]
    assert stack(torch.zeros(3, 2, 2)).shape == (3, 2)
