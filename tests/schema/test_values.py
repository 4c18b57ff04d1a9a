"""The schema of an option's type: what it accepts, by the JSON Schema library."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from jsonschema import Draft7Validator

from annpipe.registry.entry import Entry, Origin, Parameter
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.registry.types import parse
from annpipe.schema.values import (
    VARIABLE,
    Schema,
    is_json,
    option_schema,
    or_variable,
    reference,
    scalar_schemas,
    takes_variables,
    type_name,
    type_schemas,
    value_schema,
)

DEFINITIONS: Schema = {"variable": VARIABLE, **{kind: {"type": "object", "required": ["is " + kind]} for kind in KINDS}}
A_LAYER = {"is layer": 1}


def accepts(schema: Schema, value: Any) -> bool:
    """Whether a value is right by a schema whose kinds are mappings with a key of their own."""
    whole = {**schema, "definitions": DEFINITIONS}
    Draft7Validator.check_schema(whole)
    return bool(Draft7Validator(whole).is_valid(value))


@pytest.mark.parametrize(
    ("text", "bounds", "right", "wrong"),
    [
        ("int", {"ge": 1}, [1, 5, "${n}"], [0, 1.5, "1", None, True, "a ${n}", "${1}"]),
        ("float", {"gt": 0, "lt": 1}, [0.5, "${p}"], [0, 1, -1.0, "0.5"]),
        ("float", {"le": 2}, [2, -7.5], [2.1]),
        ("bool", {}, [True, "${b}"], [0, "true"]),
        ("str", {}, ["a", "${a}", "a ${a}"], [1, None]),
        ("None", {}, [None, "${a}"], [0, "null"]),
        ("any", {}, [1, None, "a", [], {}], []),
        ("path", {}, ["./a.csv"], [3]),
        ("metric_key", {}, ["val/loss"], [3]),
        ("expression", {}, ["x**2", 3], [[1], None]),
        ("expression[epoch]", {}, ["0.9**epoch", 3], [[1], None]),
        ("'a' | 2", {}, ["a", 2, "${a}"], ["b", 3, None]),
        ("list[int]", {"ge": 0}, [[], [1, "${n}"], "${list}"], [1, [-1], ["a"]]),
        ("tuple[int, float]", {}, [[1, 2.5], ["${n}", 1]], [[1], [1, 2, 3], [1.5, 1], 1]),
        ("dict[str, float]", {"ge": 0}, [{}, {"a": 1.5}], [{"a": "b"}, {"a": -1}, [1]]),
        ("int | tuple[int, int] | None", {"ge": 1}, [3, [3, 3], None], [0, [3], [0, 1], "3"]),
        ("tensor", {"ge": 0}, [0, 1.5, [1, 2], [[1.0]], [[[0]]], [1, "${n}"]], [-1, [1, -1], "a", None, [[[[1]]]]]),
        ("layer", {}, [A_LAYER], [{"is loss": 1}, 3, "${a}"]),
        ("layer | None", {}, [A_LAYER, None], [3]),
        ("stack", {}, [[A_LAYER], [A_LAYER, A_LAYER]], [[], A_LAYER, [3]]),
        ("dict[str, loss]", {}, [{"a": {"is loss": 1}}], [{"a": A_LAYER}]),
    ],
)
def test_a_schema_accepts_the_values_of_its_type(
    text: str, bounds: dict[str, float], right: list[Any], wrong: list[Any]
) -> None:
    """Or a whole variable in the place of any of them; a component's own schema takes care of variables itself."""
    schema = value_schema(parse(text), bounds)
    assert [value for value in right if not accepts(schema, value)] == []
    assert [value for value in wrong if accepts(schema, value)] == []


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("int", [3], ["a", None, [3], {}]),
        ("float | None", [0.5], [None, []]),
        ("'a' | 'b'", ["a"], ["c", None]),
        ("tensor", [1.5], [[1.5], "a"]),
        ("any", [1, "a", True], [None, [], {}]),
        ("int | tuple[int, int]", [3], []),
    ],
)
def test_a_scalar_stands_for_the_first_option(text: str, right: list[Any], wrong: list[Any]) -> None:
    """`Linear: 100`: null, lists and mappings are read in another way."""
    schema = {"anyOf": scalar_schemas(parse(text), {})}
    assert [value for value in right if not accepts(schema, value)] == []
    assert [value for value in wrong if accepts(schema, value)] == []


@pytest.mark.parametrize("text", ["list[int]", "None", "stack", "dict[str, int]"])
def test_no_scalar_stands_for_a_list_or_a_mapping(text: str) -> None:
    """So the schema has none."""
    assert scalar_schemas(parse(text), {}) == []


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (("layer",), ["layer"]),
        (("layer.Linear", "properties", "a/b"), ["layer.Linear", "properties", "a/b"]),
        (("int | None ge 1", "x~y"), ["int | None ge 1", "x~y"]),
        (("$x%20_한",), ["$x%20_한"]),
    ],
)
def test_a_reference_leads_to_its_definition(path: tuple[str, ...], target: list[str]) -> None:
    """Whatever signs its name has: by the library's own resolution of a JSON pointer in a URI."""
    definitions: Any = {"const": 7}
    for name in reversed(target):
        definitions = {name: definitions}
    validator = Draft7Validator({**reference(*path), "definitions": definitions})
    assert validator.is_valid(7)
    assert not validator.is_valid(8)


@pytest.mark.parametrize(
    ("parameter", "description", "default"),
    [
        (
            Parameter("lr", "float", 0.1, bounds={"gt": 0}, description="the rate."),
            "the rate; a number greater than 0; 0.1 by default",
            0.1,
        ),
        (Parameter("n", "int", required=True), "a whole number; required", None),
        (Parameter("most", "float", math.inf), "a number; Infinity by default", None),
        (Parameter("word", "str", "a"), 'a word; "a" by default', "a"),
    ],
)
def test_an_option_is_described_with_its_type_and_default(parameter: Parameter, description: str, default: Any) -> None:
    """A default that JSON cannot say is in the words alone."""
    schema = option_schema(parameter)
    assert schema["description"] == description
    assert schema.get("default") == default
    assert schema["$ref"] == reference(type_name(parameter))["$ref"]
    json.dumps(schema, allow_nan=False)


def test_a_parameter_that_annpipe_fills_is_written_out_and_not_suggested() -> None:
    """What stands beside a `$ref` would not be read."""
    schema = option_schema(Parameter("in_features", "int", required=True, supplied=True, bounds={"ge": 1}))
    assert schema["doNotSuggest"] is True
    assert "filled in by annpipe" in schema["description"]
    assert accepts(schema, 3)
    assert not accepts(schema, 0)


def test_options_of_one_type_and_range_share_a_definition() -> None:
    """Whatever the order of the bounds; other bounds make another one."""
    a = Parameter("a", "float", bounds={"ge": 0, "lt": 1})
    b = Parameter("b", "float", bounds={"lt": 1, "ge": 0.0})
    c = Parameter("c", "float", bounds={"ge": 0})
    assert type_name(a) == type_name(b) == "float ge 0 lt 1"
    assert type_name(c) == "float ge 0"
    registry = Registry()
    registry._add_all([Entry("metric", "own", "own:own", (a, b, c, Parameter("d", "layer")), "", Origin())])
    definitions = type_schemas(registry)
    assert list(definitions) == ["float ge 0", "float ge 0 lt 1"]  # the kinds have theirs already
    assert not accepts(definitions["float ge 0 lt 1"], 1)
    assert accepts(definitions["float ge 0"], 1)


@pytest.mark.parametrize(
    ("schema", "takes"),
    [
        ({"type": "string"}, True),
        ({"type": ["string", "number"]}, True),
        ({}, True),
        ({"$ref": "#/definitions/layer"}, True),
        ({"type": "string", "pattern": "^a"}, False),
        ({"enum": ["a"]}, False),
        ({"type": "integer"}, False),
        ({"$ref": "#/definitions/layer", "type": "object"}, False),
    ],
)
def test_a_variable_is_added_where_it_does_not_fit_already(schema: Schema, takes: bool) -> None:
    """Editors would else show it twice."""
    assert takes_variables(schema) is takes
    assert (reference("variable") in or_variable([schema]).get("anyOf", [])) is not takes


@pytest.mark.parametrize(
    ("value", "can_say"),
    [(1, True), ([None, "a", {"b": 0.5}], True), (math.inf, False), ([math.nan], False), ({"a": -math.inf}, False)],
)
def test_json_has_no_infinity(value: Any, can_say: bool) -> None:
    """And no NaN."""
    assert is_json(value) is can_say
