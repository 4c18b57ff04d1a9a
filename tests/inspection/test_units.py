"""Dead and saturated units, counted for networks whose units are known."""

from __future__ import annotations

import json

import pytest
import torch

from annpipe.inspection.units import look_at_units
from tests.inspection.conftest import Inspector


def with_biases(activation: torch.nn.Module, biases: list[float]) -> torch.nn.Sequential:
    """A layer whose units add these to their input, before an activation."""
    layer = torch.nn.Linear(1, len(biases))
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.copy_(torch.tensor(biases))
    return torch.nn.Sequential(layer, activation)


def test_a_relu_that_is_never_positive_is_dead() -> None:
    """The inputs go from -1 to 1: one unit never passes, one at a twentieth of the rows, one at half, one always."""
    x = torch.linspace(-1, 1, 41)[:, None]
    (layer,) = look_at_units(with_biases(torch.nn.ReLU(inplace=True), [-1.5, -0.92, 0.0, 2.0]), x).layers
    assert layer.dead == [0]
    assert layer.almost_dead == [1]
    assert layer.flat.tolist() == pytest.approx([1, 39 / 41, 21 / 41, 0])


@pytest.mark.parametrize(("activation", "edge"), [(torch.nn.Tanh(), 2.178), (torch.nn.Sigmoid(), 4.357)])
def test_saturation_begins_where_the_slope_is_a_twentieth(activation: torch.nn.Module, edge: float) -> None:
    """Of tanh that is 1 - h² = 0.05, of the sigmoid h (1 - h) = 0.05 / 4."""
    x = torch.zeros(10, 1)
    (layer,) = look_at_units(with_biases(activation, [edge - 0.01, edge + 0.01, -edge - 0.01]), x).layers
    assert layer.saturated.tolist() == [0, 1, 1]
    assert layer.always_saturated == [1, 2]
    assert layer.dead == []


def test_a_channel_is_a_unit_and_so_is_a_feature_of_a_sequence() -> None:
    """Behind a convolution units are channels, behind a linear layer of steps they are the last dimension."""
    image = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU())
    assert look_at_units(image, torch.randn(5, 1, 6, 6)).layers[0].units == 3
    signal = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.ReLU())
    assert look_at_units(signal, torch.randn(5, 2, 9)).layers[0].units == 4
    steps = torch.nn.Sequential(torch.nn.Linear(2, 7), torch.nn.Tanh())
    assert look_at_units(steps, torch.randn(5, 9, 2)).layers[0].units == 7


def test_blocks_of_rows_are_counted_together() -> None:
    """As many as two blocks hold, and some more."""
    x = torch.cat([-torch.ones(2000, 1), torch.ones(500, 1)])
    (layer,) = look_at_units(with_biases(torch.nn.ReLU(), [0.0]), x).layers
    assert layer.flat.tolist() == pytest.approx([0.8])


def test_a_layer_with_gates_says_that_they_are_not_looked_at() -> None:
    units = look_at_units(torch.nn.Sequential(torch.nn.LSTM(2, 3)), torch.randn(4, 5, 2))
    assert (units.layers, units.closed) == ((), ("0 LSTM",))


def test_the_command_tells_of_each_activation_layer(project: Inspector) -> None:
    code, printed, said = project.call("inspect", "flowers", "--units", "--json")
    assert code == 0, said
    found = json.loads(printed)
    assert [(layer["class"], layer["units"]) for layer in found["units"]["layers"]] == [("ReLU", 8), ("Tanh", 8)]
    assert "importance" not in found
