"""Live objects from components: what a spec's options become in the call, and what layers of one model share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from annpipe.backend.device import computing
from annpipe.backend.instantiate import (
    Building,
    fitted,
    instantiate,
    module_names,
    named_modules,
    parameter_groups,
)
from annpipe.draft.component import Component
from annpipe.expression import Expression
from annpipe.portable.stack import Stack
from annpipe.registry.types import parse
from tests.train.gears.stacks import SPEC
from tests.training import Planned

BLOCKS = "blocks={encoder: [Linear: 2, Tanh]}"


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("float", 2, 2.0),
        ("int", 2, 2),
        ("int | float", 2, 2),
        ("float | None", 3, 3.0),
        ("bool", True, True),
        ("float", True, True),
        ("any", [1, 2], [1, 2]),
        ("tuple[int, int]", [3, 4], (3, 4)),
        ("int | tuple[int, int]", [3, 4], (3, 4)),
        ("tuple[float, float] | None", None, None),
        ("list[int]", [3, 4], [3, 4]),
        ("path", "a/b", Path("a/b")),
        ("path | None", "a", Path("a")),
        ("str", "a/b", "a/b"),
    ],
)
def test_values_are_what_a_signature_asks_for(type_: str, value: Any, expected: Any) -> None:
    """YAML has no tuples, no paths, and whole numbers for any others."""
    made = fitted(parse(type_), value)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("type_", "value", "is_tensor"),
    [
        ("tensor", [1, 2], True),
        ("tensor | None", [[1, 2], [3, 4]], True),
        ("tensor", 3, True),
        ("tensor | float", 3, True),
        ("float | None", 3, False),
        ("tensor | None", None, False),
        ("tensor", True, False),
    ],
)
def test_numbers_become_tensors_where_nothing_else_is_meant(type_: str, value: Any, is_tensor: bool) -> None:
    """In the precision of the run."""
    with computing("float64", deterministic=False):
        made = fitted(parse(type_), value)
    assert isinstance(made, torch.Tensor) == is_tensor
    if is_tensor:
        assert torch.equal(made, torch.tensor(value, dtype=torch.float64))


@pytest.mark.parametrize("type_", ["expression[epoch]", "list[expression[epoch]]"])
def test_formulas_become_plain_functions(type_: str) -> None:
    """Schedulers keep the insides of any other callable in their state, which no checkpoint could hold."""
    formula = Expression("0.5 ** epoch")
    made = fitted(parse(type_), [formula] if type_.startswith("list") else formula)
    (function,) = made if isinstance(made, list) else [made]
    assert type(function) is type(lambda: None)
    assert function(3) == 0.125


def layers(planned: Planned, model: str, *overrides: str) -> list[Component]:
    return [layer.component for layer in planned(SPEC, f"model={model}", *overrides).model]


def test_modules_are_called_by_position_or_block(planned: Planned) -> None:
    """A block is counted among the positions; its second use has a number, and an end of the model none."""
    stack = layers(planned, "[Linear: 2, shared: encoder, Tanh, shared: encoder, Linear: 1]", BLOCKS)
    assert module_names(stack) == ["0", "encoder", "2", "encoder_2", "4"]
    ends = (
        "{inputs: {first: {columns: [a], layers: [Linear: 2]}, second: {columns: [b]}}, layers: [Linear: 3, Linear: 1]}"
    )
    assert module_names(layers(planned, ends)) == ["inputs", "0", "1"]


def test_a_block_is_built_once_for_a_model(planned: Planned) -> None:
    """At every depth; `apart` builds each use anew, and another model has weights of its own."""
    stack = layers(planned, "[shared: encoder, residual: [shared: encoder], Linear: 1]", BLOCKS)
    modules = named_modules(stack)
    assert modules["encoder"] is modules["1"].layers.encoder
    assert named_modules(stack)["encoder"] is not modules["encoder"]
    apart = named_modules(stack, Building(apart=True))
    assert apart["encoder"] is not apart["1"].layers.encoder


def test_layers_inside_a_layer_are_a_stack(planned: Planned) -> None:
    """Built in their order, under their names."""
    (residual, _) = layers(planned, "[residual: {layers: [Linear: 4, Tanh, Linear: 2]}, Linear: 1]")
    inside = instantiate(residual).layers
    assert type(inside) is Stack
    assert [(name, type(module)) for name, module in inside.named_children()] == [
        ("0", nn.Linear),
        ("1", nn.Tanh),
        ("2", nn.Linear),
    ]
    assert inside[2].out_features == 2


def test_what_the_engine_supplies_reaches_what_is_inside(planned: Planned) -> None:
    """A scheduler inside a scheduler drives the same optimizer."""
    inner = "[{ConstantLR: {factor: 0.5, total_iters: 2}}, {ExponentialLR: {gamma: 0.9}}]"
    plan = planned(SPEC, f"scheduler={{SequentialLR: {{schedulers: {inner}, milestones: [2]}}}}")
    assert plan.scheduler is not None
    optimizer = instantiate(plan.optimizer, params=[nn.Parameter(torch.zeros(1))])
    scheduler = instantiate(plan.scheduler, optimizer=optimizer)
    assert scheduler.optimizer is optimizer
    assert [inner.optimizer is optimizer for inner in scheduler._schedulers] == [True, True]


def test_parameters_are_put_in_their_groups(planned: Planned) -> None:
    """First those of no group; a tuple of a group is one, and each has its own options only."""
    groups = "groups: [{params: '*.bias', betas: [0.8, 0.9]}, {params: 0.*, lr: 1}]"
    plan = planned(SPEC, f"optimizer={{Adam: {{lr: 0.01}}, {groups}}}")
    parameters = {name: nn.Parameter(torch.zeros(1)) for name in ("0.weight", "0.bias", "2.weight", "2.bias")}
    weight, bias, other_weight, other_bias = parameters.values()
    first, biases, rest = parameter_groups(parameters, plan.groups)
    assert first == {"params": [other_weight]}
    assert biases == {"params": [bias, other_bias], "betas": (0.8, 0.9)}
    assert rest == {"params": [weight], "lr": 1.0}
    assert parameter_groups(parameters, []) == list(parameters.values())
