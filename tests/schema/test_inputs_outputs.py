"""The schema of named inputs and outputs of a model, by the JSON Schema library."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.schema.inputs_outputs import inputs_schema, join_schema, loss_or_heads, outputs_schema
from annpipe.schema.values import VARIABLE, Schema

DEFINITIONS: Schema = {"variable": VARIABLE, **{kind: {"enum": [kind]} for kind in ("layer", "loss", "metric")}}


def accepts(schema: Schema, value: Any) -> bool:
    """Whether a value is right, where each kind has one component of the kind's name."""
    whole = {**schema, "definitions": DEFINITIONS}
    Draft7Validator.check_schema(whole)
    return bool(Draft7Validator(whole).is_valid(value))


HEAD = {"layers": ["layer"], "loss": "loss"}


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        (None, True),
        ({"a": {}}, True),
        ({"a": {"columns": "x*", "layers": ["layer"]}, "b": {"columns": ["x", "y"]}}, True),
        ({"a": {"columns": "${columns}"}}, True),
        ({}, False),
        ([], False),
        ({"a": None}, False),
        ({"a": {"columns": []}}, False),
        ({"a": {"columns": ""}}, False),
        ({"a": {"columns": [""]}}, False),
        ({"a": {"columns": 3}}, False),
        ({"a": {"layers": []}}, False),
        ({"a": {"layers": ["loss"]}}, False),
        ({"a": {"column": "x"}}, False),
    ],
)
def test_inputs_are_stacks_by_name(value: Any, is_right: bool) -> None:
    """Each with columns and layers, or neither."""
    assert accepts(inputs_schema(), value) is is_right


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        (None, True),
        ({"y": HEAD}, True),
        ({"y": {**HEAD, "weight": 0, "metrics": ["metric", "metric"]}}, True),
        ({"y": {**HEAD, "weight": "${w}", "metrics": None}}, True),
        ({}, False),
        ({"y": {"layers": ["layer"]}}, False),
        ({"y": {"loss": "loss"}}, False),
        ({"y": {**HEAD, "loss": "layer"}}, False),
        ({"y": {**HEAD, "weight": -0.5}}, False),
        ({"y": {**HEAD, "weight": "heavy"}}, False),
        ({"y": {**HEAD, "metrics": "metric"}}, False),
        ({"y": {**HEAD, "metrics": ["loss"]}}, False),
        ({"y": {**HEAD, "optimizer": "Adam"}}, False),
    ],
)
def test_outputs_are_heads_by_target(value: Any, is_right: bool) -> None:
    """Layers and a loss must be there, a weight is no less than 0."""
    assert accepts(outputs_schema(), value) is is_right


@pytest.mark.parametrize(
    ("value", "is_right"), [("concat", True), ("add", True), ("${join}", True), ("multiply", False), (None, False)]
)
def test_a_join_is_one_of_a_few(value: Any, is_right: bool) -> None:
    """The default is one of them."""
    assert accepts(join_schema(), value) is is_right
    assert accepts(join_schema(), join_schema()["default"])


@pytest.mark.parametrize(
    ("spec", "is_right"),
    [
        ({"model": [], "loss": "MSELoss"}, True),
        ({"model": {"layers": []}, "loss": {"MSELoss": {}}}, True),
        ({"model": {"outputs": {"y": HEAD}}}, True),
        ({"model": {"outputs": {"y": HEAD}}, "loss": None}, True),
        ({"model": {"outputs": None}, "loss": "MSELoss"}, True),
        ({"model": {"outputs": {"y": HEAD}}, "loss": "MSELoss"}, False),
        ({"model": []}, False),
        ({"model": {"outputs": None}}, False),
        ({"model": {"layers": []}, "loss": None}, False),
    ],
)
def test_a_spec_has_a_loss_or_heads_with_losses(spec: Any, is_right: bool) -> None:
    """Not both, and not neither."""
    assert accepts(loss_or_heads(), spec) is is_right
