"""The figure `network`: what is drawn of small perceptrons and of other models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from torch import nn

from annpipe import Dataset, RunView, Stack, Taps
from annpipe.portable.heads import Inputs, Outputs
from annpipe_std.outputs import OutputOf
from annpipe_std.plots.network import network
from annpipe_std.structure import Join, Parallel, Repeat, Residual, Tap


def drawn(
    model: nn.Module, inputs: dict[str, torch.Tensor], targets: tuple[str, ...] = ("y",), transformed: bool = False
) -> Figure:
    """The figure of a model on some rows."""
    rows = len(next(iter(inputs.values())))
    train = Dataset(inputs, {name: torch.zeros(rows) for name in targets})

    def predict(columns: Any) -> Any:
        x = torch.stack(list(columns.values()), 1) if len(columns) > 1 or next(iter(columns.values())).ndim == 1 else (
            next(iter(columns.values()))
        )  # fmt: skip
        with torch.no_grad():
            return {"y": model.eval()(x)}

    return network(RunView("toy", train, None, None, {}, predict, model, "L1Loss", transformed))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def patches(figure: Figure, kind: type) -> list[Any]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


COLUMNS = {"a": torch.zeros(4), "b": torch.ones(4)}


def test_a_small_perceptron_has_a_circle_for_each_neuron_and_a_line_for_each_weight() -> None:
    """Inputs and targets by name; the colour is the sign, the width the size."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 0.0], [0.0, -1.0]]))
    figure = drawn(model, COLUMNS)
    assert len(patches(figure, Circle)) == 2 + 3 + 1
    first, second = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    assert len(first.get_segments()) == 6
    assert len(second.get_segments()) == 3
    widths = [round(float(width), 6) for width in first.get_linewidths()]
    assert max(widths) == widths[3] == round(0.3 + 1.9, 6)  # the weight -2, from b to the first neuron
    above, below = ((0.0, 0x72 / 255, 0xB2 / 255), (0xD5 / 255, 0x5E / 255, 0.0))
    colours = [tuple(float(part) for part in colour[:3]) for colour in first.get_colors()]
    assert [colour == pytest.approx(below) for colour in colours] == [False, False, False, True, False, True]
    assert colours[0] == pytest.approx(above)
    assert {"a", "b", "y", "3\nLinear\nReLU\nDropout"} <= set(texts(figure))


def test_features_that_transforms_made_are_not_called_after_the_columns() -> None:
    """A one_hot makes several of one, and groups come in an order of their own."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    said = texts(drawn(model, COLUMNS, transformed=True))
    assert not {"a", "b"} & set(said)
    assert any(text.endswith("input of\na\nb") for text in said)


def test_a_wide_layer_shows_its_first_and_last_neurons() -> None:
    """Eight of a hundred, and three dots."""
    figure = drawn(
        nn.Sequential(nn.Linear(2, 100), nn.Tanh(), nn.Linear(100, 10), nn.Tanh(), nn.Linear(10, 1)), COLUMNS
    )
    assert len(patches(figure, Circle)) == 2 + 8 + 10 + 1
    assert len(figure.axes[0].lines) == 3


def test_weights_that_are_not_finite_are_drawn() -> None:
    """As the thickest."""
    model = nn.Sequential(nn.Linear(2, 1))
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    assert len(patches(drawn(model, COLUMNS), Circle)) == 3


def test_other_models_are_blocks_with_shapes_and_parameters() -> None:
    """A convolutional network with a residual, in the order of its layers."""
    inner = Stack(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), Residual(inner, input_shape=[4, 6, 6], output_shape=[6, 6, 6]),
        nn.Flatten(), nn.Linear(216, 10),
    )  # fmt: skip
    figure = drawn(model, {"image": torch.zeros(4, 1, 8, 8)})
    said = texts(figure)
    assert [word for word in said if word.isidentifier()] == [
        "image", "Conv2d", "BatchNorm2d", "residual", "Conv2d", "ReLU", "projection", "Flatten", "Linear"
    ]  # fmt: skip
    assert "input 1 × 8 × 8" in said
    assert "4 × 6 × 6  ·  40 parameters" in said
    assert "10  ·  2,170 parameters" in said
    assert len(patches(figure, FancyBboxPatch)) == 7


def test_branches_repetitions_and_blocks_have_frames() -> None:
    """A repetition shows its layers once, a block its name; without a pass through the model no shape is told."""
    repeated = Repeat(2, Stack(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU()))
    branches = [Stack(nn.Linear(2, 3)), Stack(nn.Linear(2, 3), repeated)]
    model = nn.Sequential()
    model.add_module("0", Parallel(branches, "add", output_shapes=[[3], [3]]))
    model.add_module("encoder", Stack(nn.Linear(3, 2)))
    said = texts(drawn(model, COLUMNS))
    assert {"parallel", "add", "repeat, 2 times", "encoder"} <= set(said)
    assert said.count("Linear") == 4
    train = Dataset(COLUMNS, {"y": torch.zeros(4)})
    silent = network(RunView("", train, None, None, {}, lambda columns: {"y": columns["a"]}, model, "L1Loss"))
    assert "6 parameters" not in texts(silent)
    assert "9 parameters" in texts(silent)


def test_a_line_leads_from_each_tap_to_what_reads_it() -> None:
    """Out of a residual too; the first tap's is the outermost, so that skips of a U-Net do not cross."""
    taps = Taps()
    model = nn.Sequential(
        Tap("fine", tap_values=taps),
        Residual(Stack(nn.Linear(2, 2), Tap("deep", tap_values=taps)), input_shape=[2], output_shape=[2]),
        Join("deep", "add", input_shape=[2], tap_shapes=[[2]], tap_values=taps),
        nn.Linear(2, 3),
        Join(["fine", "deep"], input_shape=[3], tap_shapes=[[2], [2]], tap_values=taps),
    )
    figure = drawn(model, COLUMNS)
    assert [text for text in texts(figure) if text.startswith(("tap", "join"))] == [
        "tap fine", "tap deep", "join deep by add", "join fine, deep by concat"
    ]  # fmt: skip
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    lanes = [line.get_xdata()[1] for line in lines]
    assert lanes[0] == lanes[2] < lanes[1] < figure.axes[0].get_xlim()[1]
    for line in lines:
        begin, end = line.get_ydata()[0], line.get_ydata()[-1]
        assert begin > end


def test_a_layer_whose_part_flows_on_is_named_with_it() -> None:
    """And counted as one."""
    model = nn.Sequential(OutputOf(nn.GRU(2, 3, batch_first=True), "hidden"), nn.Linear(3, 1))
    said = texts(drawn(model, {"x": torch.zeros(4, 5, 2)}))
    assert "GRU, hidden" in said
    assert "3  ·  63 parameters" in said


def test_a_deep_model_shows_its_first_and_last_layers() -> None:
    """Of sixty; the drawing stays of a size that can be looked at."""
    figure = drawn(nn.Sequential(*[nn.LayerNorm(2) for _ in range(60)]), COLUMNS)
    assert "… 20 more layers …" in texts(figure)
    assert figure.get_size_inches()[1] <= 40


def test_the_model_is_left_as_it_was() -> None:
    """No hook stays, and no mode changes but what predicting does."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.Linear(3, 1))
    model.train()
    drawn(model, COLUMNS)
    assert not any(module._forward_hooks for module in model.modules())


def test_several_inputs_and_outputs_stand_beside_one_another() -> None:
    """Each stack and each head in a frame under its name; a stack without layers passes its columns on."""
    stacks = [Stack(nn.Linear(1, 3), nn.ReLU()), Stack()]
    options = {"spans": [[[0, 1]], [[1, 2]]], "shapes": [[1], [1]], "whole": [False, False]}
    inputs = Inputs(["deep", "wide"], stacks, "concat", output_shapes=[[3], [1]], **options)
    model = nn.Sequential()
    model.add_module("inputs", inputs)
    model.add_module("0", nn.Linear(4, 4))
    model.add_module("outputs", Outputs(["kind", "mass"], [Stack(nn.Linear(4, 3)), Stack(nn.Linear(4, 1))]))
    said = texts(drawn(model, COLUMNS))
    assert {"inputs", "outputs", "deep", "wide", "kind", "mass", "concat", "as it is"} <= set(said)
    assert said.count("Linear") == 4
