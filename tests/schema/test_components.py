"""The schema of a component and of a kind, over a registry of a few: all spellings, by the JSON Schema library."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.registry import Registry
from annpipe.schema.components import component_definitions, component_name, is_bare, kind_schema, kind_schemas
from annpipe.schema.values import VARIABLE, Schema, type_schemas

WIDTH = Parameter("width", "int", required=True, bounds={"ge": 1}, description="how wide")
BIAS = Parameter("bias", "bool", True)
IN = Parameter("in_features", "int", required=True, supplied=True)
RATE = Parameter("lr", "float", required=True)
OWN = Origin("own", "1.0")
ENTRIES = (
    Entry("layer", "Wide", "own:Wide", (WIDTH, BIAS, IN), "A wide one.", OWN),
    Entry("layer", "Pair", "own:Pair", (WIDTH, Parameter("depth", "int", required=True)), "", OWN),
    Entry("layer", "Plain", "own:Plain", (), "Takes nothing.", Origin(file="/home/someone/plugins/own.py")),
    Entry("layer", "around", "own:around", (Parameter("inner", "layer", required=True), BIAS), "", OWN),
    Entry("layer", "chain", "own:chain", (Parameter("layers", "stack", required=True),), "", OWN),
    Entry("optimizer", "Slow", "own:Slow", (RATE, Parameter("decay", "float", 0.0)), "", OWN),
)


@cache
def registry() -> Registry:
    small = Registry()
    small._add_all(ENTRIES)
    return small


@cache
def validator(kind: str, *, any_name: bool = False) -> Draft7Validator:
    """Takes one component of a kind."""
    definitions = kind_schemas(registry(), any_name=any_name) | {"variable": VARIABLE} | type_schemas(registry())
    whole = {**kind_schema(kind, registry(), any_name=any_name), "definitions": definitions}
    Draft7Validator.check_schema(whole)
    return Draft7Validator(whole)


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        ({"Wide": 3}, True),
        ({"Wide": [3]}, True),
        ({"Wide": [3, False]}, True),
        ({"Wide": {"width": 3, "bias": False}}, True),
        ({"Wide": {"width": 3, "in_features": 2}}, True),
        ({"Wide": "${width}"}, True),
        ("${layer}", True),
        ("Plain", True),
        ({"Plain": None}, True),
        ({"Plain": {}}, True),
        ({"Plain": []}, True),
        ({"Pair": [3, 4]}, True),
        ({"around": {"Wide": 3}}, True),
        ({"around": "Plain"}, True),
        ({"around": {"inner": {"Wide": 3}, "bias": False}}, True),
        ({"around": [{"around": "Plain"}, False]}, True),
        ({"chain": ["Plain", {"Wide": 3}]}, True),
        ({"chain": {"layers": ["Plain"]}}, True),
        ("Wide", False),
        ({"Wide": None}, False),
        ({"Wide": 0}, False),
        ({"Wide": []}, False),
        ({"Wide": [3, False, 1]}, False),
        ({"Wide": {"bias": False}}, False),
        ({"Wide": {"width": 3, "wide": 1}}, False),
        ({"Pair": 3}, False),
        ({"Pair": [3]}, False),
        ({"Plain": 3}, False),
        ({"Plain": [3]}, False),
        ({"Plain": {"a": 1}}, False),
        ({"around": {"Wide": 3, "bias": False}}, False),
        ({"around": 3}, False),
        ({"chain": []}, False),
        ({"chain": "Plain"}, False),
        ({"Wide": 3, "Plain": None}, False),
        ({}, False),
        ("Nothing", False),
        ({"Slow": 0.1}, False),
        (3, False),
    ],
)
def test_a_component_in_each_spelling(value: Any, is_right: bool) -> None:
    """By name, by its first option, by a list and by a mapping."""
    assert validator("layer").is_valid(value) is is_right


@pytest.mark.parametrize("value", [{"Slow": 0.1}, {"Slow": {"lr": 0.1}}, {"Slow": {"decay": 0.1}}])
def test_an_option_of_a_merged_kind_may_come_from_a_base(value: Any) -> None:
    """A spec that extends another gives some options of the optimizer only; those of a layer it gives anew."""
    assert validator("optimizer").is_valid(value)


@pytest.mark.parametrize(
    ("value", "strict", "loose"),
    [("Mine", False, True), ({"Mine": {"a": 1}}, False, True), ({"Wide": 0}, False, False), ({"Wide": 3}, True, True)],
)
def test_names_of_unknown_plugins(value: Any, strict: bool, loose: bool) -> None:
    """Are admitted where plugins are not known; what is known is checked all the same."""
    assert validator("layer").is_valid(value) is strict
    assert validator("layer", any_name=True).is_valid(value) is loose


def test_a_word_in_small_letters_may_be_a_block() -> None:
    """But no component of that name which needs options, and of no other kind."""
    layers = validator("layer")
    assert layers.is_valid("encoder")
    assert not layers.is_valid("around")
    assert not validator("optimizer").is_valid("encoder")


def test_hover_shows_what_a_component_is() -> None:
    """Its summary, its options in order with defaults, and where it comes from; of a file the name alone."""
    wide, plain = (component_definitions(entry)[component_name(entry)] for entry in (ENTRIES[0], ENTRIES[2]))
    assert wide["description"] == "A wide one.\n\nWide: [width, bias = true]\n\nA layer from own 1.0."
    assert plain["description"] == "Takes nothing.\n\nIt takes no options.\n\nA layer from own.py."
    assert wide["title"] == "Wide"


def test_a_name_is_enough_where_no_option_is_required() -> None:
    """Also of one whose parameters the engine fills."""
    assert [is_bare(entry) for entry in ENTRIES] == [False, False, True, False, False, False]
    supplied = Entry("layer", "Norm", "own:Norm", (IN,), "", OWN)
    assert is_bare(supplied)


def test_every_reference_has_a_definition() -> None:
    """Of components that wrap others, too."""
    definitions: Schema = kind_schemas(registry(), any_name=False) | {"variable": VARIABLE} | type_schemas(registry())
    assert {component_name(entry) for entry in ENTRIES} <= definitions.keys()
    assert "layer.around options" in definitions
    for name in definitions:
        Draft7Validator({**definitions[name], "definitions": definitions}).is_valid({"a": ["b"]})
