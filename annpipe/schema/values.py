"""JSON Schema of an option's type.

The order of alternatives is chosen for yaml-language-server: where none fits, it reports the problems of the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from annpipe.registry.entry import Parameter
from annpipe.registry.kinds import KINDS
from annpipe.registry.registry import Registry
from annpipe.registry.types import (
    STACK,
    Choice,
    Formula,
    ListOf,
    MappingOf,
    Named,
    OneOf,
    OptionType,
    TupleOf,
    alternatives,
    parse,
    words,
)

Schema = dict[str, Any]

LIMITS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
SCALARS: Mapping[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "None": {"type": "null"},
    "any": {},
    "path": {"type": "string"},
    "metric_key": {"type": "string"},
    "expression": {"type": ["string", "number"]},
    "stack": {"type": "array", "items": {"$ref": "#/definitions/layer"}, "minItems": 1},
}
# the type stands in a list so that yaml-language-server does not add "string" to what it says was expected
VARIABLE: Schema = {
    "description": "the value of a variable, defined under `variables:`",
    "type": ["string"],
    "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$",
}


@cache
def type_of(text: str) -> OptionType:
    """The type that a parameter notes as text; hundreds of options share a few dozen types."""
    return parse(text)


def reference(*path: str) -> Schema:
    """A `$ref` to a definition, or to a place inside one."""
    return {"$ref": "#/" + "/".join(_step(step) for step in ("definitions", *path))}


@cache
def _step(name: str) -> str:
    """A name as a step of a JSON pointer in a URI."""
    return quote(name.replace("~", "~0").replace("/", "~1"))


def option_schema(parameter: Parameter) -> Schema:
    """One option: its words, its default and what it accepts."""
    schema: Schema = {"description": _described(parameter)}
    if not parameter.required and is_json(parameter.default):
        schema["default"] = parameter.default
    if parameter.supplied:  # what stands beside a $ref must not matter, so this one is written out
        return schema | value_schema(type_of(parameter.type), parameter.bounds) | {"doNotSuggest": True}
    return schema | reference(type_name(parameter))


def type_name(parameter: Parameter) -> str:
    """The name of the definition that all options of this type and range share."""
    return " ".join([parameter.type, *(f"{key} {bound:g}" for key, bound in sorted(parameter.bounds.items()))])


def type_schemas(registry: Registry) -> dict[str, Schema]:
    """A definition for each type and range that some option has; the kinds have theirs already."""
    options = [option for kind in KINDS for entry in registry.entries(kind) for option in entry.options]
    known = {type_name(option): option for option in options if type_name(option) not in KINDS}
    return {name: value_schema(type_of(known[name].type), known[name].bounds) for name in sorted(known)}


def value_schema(type_: OptionType, bounds: Mapping[str, float]) -> Schema:
    """What a value of the type may be; a variable may stand for it."""
    accepted = [part for member in alternatives(type_) for part in _accepted(member, bounds)]
    if accepted[0].keys() & {"type", "enum"}:
        accepted[0] = accepted[0] | {"errorMessage": f"must be {words(type_, bounds)}"}
    return or_variable(accepted)


def scalar_schemas(type_: OptionType, bounds: Mapping[str, float]) -> list[Schema]:
    """What a value of the type may be where a list or a mapping would be read in another way: `Linear: 100`."""
    simple = [
        member
        for member in alternatives(type_)
        if isinstance(member, Choice | Formula | Named) and member not in (Named("None"), Named(STACK))
    ]
    parts = [part for member in simple for part in _accepted(member, bounds, only_scalars=True)]
    if parts and "$ref" not in parts[0]:
        parts[0] = parts[0] | {"errorMessage": f"must be {words(type_, bounds)}, or its options by name"}
    return parts


def or_variable(accepted: Iterable[Schema]) -> Schema:
    """Any of these or a variable, which needs no saying where any text or a component is accepted."""
    parts = list(accepted)
    if any(takes_variables(part) for part in parts):
        return {"anyOf": parts} if len(parts) > 1 else parts[0]
    return {"anyOf": [*parts, reference("variable")]}


def takes_variables(schema: Schema) -> bool:
    """Whether `${name}` fits the schema already."""
    is_text = schema.get("type") in ("string", ["string", "number"]) and not schema.keys() & {
        "enum",
        "const",
        "pattern",
    }
    return is_text or schema.keys() == {"$ref"} or not schema


def _accepted(type_: OptionType, bounds: Mapping[str, float], *, only_scalars: bool = False) -> list[Schema]:
    match type_:
        case Named(name=name) if type_.is_component:
            return [reference(name)]
        case Named(name="any") if only_scalars:
            return [{"type": ["string", "number", "boolean"]}]
        case Named(name="tensor"):
            return [_number(bounds), *([] if only_scalars else _lists_of_numbers(bounds))]
        case Named(name="int" | "float" as name):
            return [SCALARS[name] | _limits(bounds)]
        case Formula():
            return [dict(SCALARS["expression"])]
        case Named(name=name):
            return [dict(SCALARS[name])]
        case Choice(values=values):
            return [{"enum": list(values)}]
        case ListOf(item=item):
            return [{"type": "array", "items": value_schema(item, bounds)}]
        case TupleOf(items=items):
            places = [value_schema(item, bounds) for item in items]
            return [{"type": "array", "items": places, "minItems": len(places), "additionalItems": False}]
        case MappingOf(value=value):
            return [{"type": "object", "additionalProperties": value_schema(value, bounds)}]
        case OneOf(members=members):
            return [part for member in members for part in _accepted(member, bounds, only_scalars=only_scalars)]


def _lists_of_numbers(bounds: Mapping[str, float]) -> list[Schema]:
    row: Schema = {"type": "array", "items": or_variable([_number(bounds)])}
    table: Schema = {"type": "array", "items": row}
    return [row, table, {"type": "array", "items": table}]


def _number(bounds: Mapping[str, float]) -> Schema:
    return {"type": "number"} | _limits(bounds)


def _limits(bounds: Mapping[str, float]) -> Schema:
    return {LIMITS[key]: bound for key, bound in bounds.items() if key in LIMITS}


def _described(parameter: Parameter) -> str:
    """The words for hover: meaning, type and default."""
    if parameter.supplied:
        usual = "filled in by annpipe"
    else:
        usual = "required" if parameter.required else f"{json.dumps(parameter.default)} by default"
    meant = words(type_of(parameter.type), parameter.bounds)
    return "; ".join(part for part in (parameter.description.rstrip("."), meant, usual) if part)


def is_json(value: Any) -> bool:
    """Whether JSON can say the value: not infinity, not nan."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
