"""The transforms of a model as Python source: what the lines make is what the run has."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from annpipe.datasets.steps.transforms import ColumnGroup, Fitted, Step
from annpipe.draft.component import Component
from annpipe.export.columns_source import model_lines
from annpipe.portable.columns import Columns, Targets, Whole


class Times(torch.nn.Module):
    """Multiplies by a factor, and divides by it on the way back."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        return y / self.factor


def step(factor: float) -> Step:
    return Step(Times(factor), Component("transform", "times", {"factor": factor}))


def call(component: Component) -> str:
    """A transform as an expression of Python."""
    return f"Times({component.options['factor']})"


def group(*positions: int, factor: float = 2.0) -> ColumnGroup:
    return ColumnGroup(positions, (step(factor),))


def fitted(**changes: Any) -> Fitted:
    """No transforms, but for the changes."""
    facts: dict[str, Any] = {"before": (), "inside": (), "targets": (), "is_whole": False, "shape": (3,)}
    return Fitted(**{**facts, **changes})


def made(transforms: Fitted, precision: str = "float64") -> dict[str, Any]:
    """What the lines put together around a network, by name."""

    def model(columns: Any, network: Any, targets: Any, dtype: torch.dtype) -> dict[str, Any]:
        return {"columns": columns, "network": network, "targets": targets, "dtype": dtype}

    scope: dict[str, Any] = {"Times": Times, "Columns": Columns, "Targets": Targets, "Whole": Whole, "Model": model}
    scope |= {"torch": torch, "begun_with": torch.nn.Sequential}
    lines = ["def build():", "    network = torch.nn.Identity()", *model_lines(transforms, call, precision)]
    exec("\n".join(lines), scope)
    result = scope["build"]()
    assert isinstance(result, dict)
    return result


X = torch.arange(12, dtype=torch.float64).reshape(4, 3)


def test_without_transforms_the_network_is_alone() -> None:
    """Its precision is that of the run."""
    parts = made(fitted(), "float32")
    assert (parts["columns"], parts["targets"], parts["dtype"]) == (None, None, torch.float32)
    assert isinstance(parts["network"], torch.nn.Identity)


@pytest.mark.parametrize(
    "groups",
    [
        (group(0, 2), group(1, factor=3.0)),
        (ColumnGroup((2, 0), (step(2.0), step(5.0))), ColumnGroup((1,), ())),
    ],
    ids=["groups", "steps"],
)
def test_columns_go_through_the_steps_of_their_group(groups: tuple[ColumnGroup, ...]) -> None:
    """As the run's own module has it."""
    transforms = fitted(before=groups)
    own = transforms.columns(groups)
    assert own is not None
    assert torch.equal(made(transforms)["columns"](X), own(X))


@pytest.mark.parametrize(
    ("positions", "text"),
    [
        (tuple(range(4, 13)), "(range(4, 13), "),
        (tuple(range(4, 12)), "([4, 5, 6, 7, 8, 9, 10, 11], "),
        ((*range(9), 10), "([0, 1, 2, 3, 4, 5, 6, 7, 8, 10], "),
        (tuple(reversed(range(9))), "([8, 7, 6, 5, 4, 3, 2, 1, 0], "),
    ],
)
def test_many_columns_in_a_row_are_a_range(positions: tuple[int, ...], text: str) -> None:
    """Nine or more that follow one another."""
    lines = "\n".join(model_lines(fitted(before=(group(*positions),)), call, "float32"))
    assert text in lines


def test_an_input_of_a_shape_goes_through_its_steps_as_a_whole() -> None:
    """An image has no columns."""
    transforms = fitted(before=(ColumnGroup((), (step(2.0), step(5.0))),), is_whole=True)
    assert torch.equal(made(transforms)["columns"](X), X * 10)


def test_steps_inside_the_model_come_before_its_layers() -> None:
    """In its precision."""
    groups = (group(0, 1, 2),)
    assert torch.equal(made(fitted(inside=groups))["network"](X), X * 2)
    lines = {precision: model_lines(fitted(inside=groups), call, precision)[0] for precision in ("float32", "float64")}
    assert (".double()" in lines["float64"], ".double()" in lines["float32"]) == (True, False)


@pytest.mark.parametrize(
    ("widths", "variances"),
    [((), ()), ((1, 1), ()), ((1, 2), (None, 1))],
)
def test_predictions_come_back_in_the_units_of_the_targets(
    widths: tuple[int, ...], variances: tuple[int | None, ...]
) -> None:
    """By the inverse of each target's steps, a variance by the square of the scale."""
    transforms = fitted(targets=((step(2.0),), (step(4.0), step(0.5))), widths=widths, variances=variances)
    targets, own = made(transforms)["targets"], transforms.target_columns
    assert own is not None
    prediction = torch.ones(2, sum(widths) or 2, dtype=torch.float64)
    assert torch.equal(targets.inverse(prediction), own.inverse(prediction))
    assert targets.inverse(prediction)[0, 0] == 0.5


def test_targets_without_steps_have_no_module() -> None:
    """However many there are."""
    assert made(fitted(targets=((), ())))["targets"] is None
