"""JSON Schema of each section of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from annpipe.registry.annotations import from_annotation
from annpipe.registry.entry import Entry, Parameter
from annpipe.registry.registry import Registry
from annpipe.registry.types import Named, words
from annpipe.schema.components import BLOCK_NAME, is_bare
from annpipe.schema.inputs_outputs import inputs_schema, join_schema, outputs_schema
from annpipe.schema.sweep import searches
from annpipe.schema.values import LIMITS, Schema, option_schema, or_variable, reference, type_name, value_schema
from annpipe.spec.sections.models import (
    DESCRIPTIONS,
    MANY_COMPONENTS,
    ONE_COMPONENT,
    Device,
    Head,
    Section,
    Split,
    Sweep,
    Tracking,
    Train,
)
from annpipe.spec.sections.spec import REQUIRED

DATA = "data"
LISTS = {"model": "layer", **MANY_COMPONENTS}
DEVICES = {
    "auto": "a CUDA device where there is one, else Apple's, else the CPU",
    "cpu": "the processor",
    "cuda": "the first CUDA device; cuda:1 is the second",
    "mps": "Apple's graphics processor",
}
NUMBERED_DEVICE = r"^cuda:(\d+|\$\{[A-Za-z_][A-Za-z0-9_]*\})$"


def section_schema(name: str) -> Schema:
    """What may stand under a top-level key."""
    if name in Head.model_fields:
        return _fields(Head)[name]
    is_required = name in REQUIRED
    if name in ONE_COMPONENT:  # heads have losses of their own: a loss may be empty, and `loss_or_heads` says when
        schema: Schema = {
            "anyOf": [reference(ONE_COMPONENT[name]), *([] if is_required and name != "loss" else [{"type": "null"}])]
        }
    elif name == "model":
        schema = _model()
    elif name in LISTS:
        schema = _list(LISTS[name], is_required=is_required)
    elif name == "device":
        schema = _device()
    elif name == "blocks":
        schema = _blocks()
    elif name == "sweep":
        schema = _mapping(Sweep, is_required=False)
        schema["properties"] = schema["properties"] | searches(_fields)
    else:
        schema = _mapping(Train if name == "train" else Tracking, is_required=is_required)
    return {"description": DESCRIPTIONS[name], **schema}


def split_schema() -> Schema:
    """`split`, which stands beside the data component."""
    words = "the fractions of rows held out for validation and test"
    return {"description": words, **_mapping(Split, is_required=False)}


def transforms_schema() -> Schema:
    """`transforms`, which stands beside the data component: one transform or a list of them for each column."""
    words = "what becomes of columns before the first layer, by name, pattern or type (number, category, boolean)"
    steps: Schema = {"type": "array", "items": reference("transform"), "minItems": 1}
    return {
        "description": words,
        "type": ["object", "null"],
        "additionalProperties": {"anyOf": [reference("transform"), steps]},
    }


def groups_schema(optimizers: Sequence[Entry]) -> Schema:
    """`groups`, which stand beside the optimizer: patterns, and any option that some optimizer has."""
    options: dict[str, list[Parameter]] = {}
    for option in (option for entry in optimizers for option in entry.options):
        same = options.setdefault(option.name, [])
        if type_name(option) not in map(type_name, same):
            same.append(option)
    patterns = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    about = {"description": "patterns over the names of parameters, as 0.weight or *.bias"}
    params = about | or_variable([{"type": "string", "errorMessage": "must be a pattern or a list of them"}, patterns])
    group: Schema = {
        "properties": {"params": params} | {name: _one_or_other(same) for name, same in options.items()},
        "required": ["params"],
        "minProperties": 2,
        "additionalProperties": False,
        "anyOf": [{"type": "object", "errorMessage": "must be a mapping with `params`"}, reference("variable")],
    }
    whole = {"type": ["array", "null"], "errorMessage": "must be a list of groups"}
    words = "parameters with options of their own; the first group that fits a parameter has it"
    return {"description": words, "items": group, "anyOf": [whole, reference("variable")]}


def _one_or_other(options: Sequence[Parameter]) -> Schema:
    schemas = [option_schema(option) for option in options]
    return schemas[0] if len(schemas) == 1 else {"anyOf": [reference(type_name(option)) for option in options]}


def train_requires() -> Schema:
    """What `train` must say unless a base does: its length, once."""
    number = {"type": ["integer", "string"]}  # a whole number or a variable
    return {
        "if": {"required": ["steps"], "properties": {"steps": number}},
        "then": {"properties": {"epochs": {"type": "null"}, "steps": number}},
        "else": {"required": ["epochs"], "properties": {"epochs": number}},
    }


def _list(kind: str, *, is_required: bool) -> Schema:
    types = ["array"] if is_required else ["array", "null"]
    whole = {"type": types, "errorMessage": f"must be a list: begin each {kind} with `- `, or write [one, two]"}
    least: Schema = {"minItems": 1} if is_required else {}
    return {"items": reference(kind), **least, "anyOf": [whole, reference("variable")]}


def _mapping(model: type[Section], *, is_required: bool) -> Schema:
    types = ["object"] if is_required else ["object", "null"]
    return {
        "properties": _fields(model),
        "additionalProperties": False,
        "anyOf": [{"type": types, "errorMessage": "must be a mapping of options"}, reference("variable")],
    }


def _model() -> Schema:
    """A list of layers; that list with how its parameters begin and which are not trained; or one layer alone."""
    layers = _list("layer", is_required=True)
    init = {
        "description": "how parameters begin, by their names or a part of them, as in `weight` or `0.bias`",
        "type": ["object", "null"],
        "additionalProperties": reference("initializer"),
    }
    freeze = {
        "description": "the parameters that are not trained, by their names or a part of them",
        "type": ["array", "null"],
        "items": {"anyOf": [*_PATTERN, _thaw()]},
    }
    short_form = {key: layers[key] for key in ("items", "minItems", "anyOf")}
    long_keys = {"inputs": inputs_schema(), "join": join_schema(), "outputs": outputs_schema()}
    options = {"layers": short_form, "from": _from(), "init": init, "freeze": freeze} | long_keys
    long = {"type": "object", "properties": options, "additionalProperties": False}
    alone: Schema = {
        "type": "object",
        "properties": dict.fromkeys([key for key in options if key != "join"], False),
        "allOf": [reference("layer")],
    }
    return layers | {"anyOf": [*layers["anyOf"], long, alone]}


_PATTERN: list[Schema] = [{"type": "string", "minLength": 1}, {"type": "integer"}]
_PATTERNS: Schema = {"anyOf": [*_PATTERN, {"type": "array", "minItems": 1, "items": {"anyOf": _PATTERN}}]}


def _thaw() -> Schema:
    """Parameters that are frozen in the first epochs only."""
    layers = {"description": "their names or a part of them"} | _PATTERNS
    words = {"description": "the epochs in which they are frozen"}
    until = words | or_variable(
        [{"type": "integer", "minimum": 1, "errorMessage": "must be a whole number, 1 or more"}]
    )
    return {
        "type": "object",
        "properties": {"layers": layers, "until": until},
        "required": ["layers", "until"],
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _from() -> Schema:
    """The weights to begin with: a run, a folder or a file, or a mapping that says of which parameters."""
    text = {"type": "string", "minLength": 1}
    options = {
        "weights": {"description": "a run, the folder of a model, or a file of weights"} | text,
        "layers": {"description": "the parameters that are taken, by their names or a part of them"}
        | _or_null(_PATTERNS),
        "else": {"description": "init: what is not there or does not fit begins as it would", "enum": ["init", None]},
        "digest": {"description": "the digest of the weights, which have to have it"} | _or_null(text),
    }
    return {
        "description": "the weights of another run to begin with",
        "anyOf": [
            {"type": "null"},
            text,
            {"type": "object", "properties": options, "required": ["weights"], "additionalProperties": False},
        ],
    }


def _blocks() -> Schema:
    whole = {"type": ["object", "null"], "errorMessage": "must be a mapping from names to lists of layers"}
    return {
        "propertyNames": {"pattern": BLOCK_NAME},
        "additionalProperties": value_schema(Named("stack"), {}),
        "anyOf": [whole, reference("variable")],
    }


def no_block_without_blocks(registry: Registry) -> Schema:
    """Where a spec has no blocks, a word in small letters names a layer: one that the registry has."""
    known = [entry.name for entry in registry.entries("layer") if is_bare(entry)]
    word = {"type": "string", "pattern": BLOCK_NAME}
    item = {"anyOf": [{"not": word}, {"enum": known}], "errorMessage": "there is no layer of this name, and no block"}
    return {"if": {"required": ["blocks"]}, "else": {"properties": {"model": {"items": item}}}}


def _device() -> Schema:
    """A word, or a mapping whose `type` is that word."""
    names = ", ".join(DEVICES) + " or a CUDA device by its number, as in cuda:1"
    listed = {"enum": list(DEVICES), "enumDescriptions": list(DEVICES.values()), "errorMessage": f"must be {names}"}
    accepted: list[Schema] = [listed, {"type": "string", "pattern": NUMBERED_DEVICE}]
    mapping = _mapping(Device, is_required=False)
    options = mapping["properties"]
    type_ = {key: options["type"][key] for key in ("description", "default")} | or_variable(accepted)
    parts = {"properties": options | {"type": type_}, "anyOf": [*accepted, *mapping["anyOf"]]}
    return mapping | {"default": "auto"} | parts


@cache
def _fields(model: type[Section]) -> dict[str, Schema]:
    """The options of a section, from pydantic's own schema of it."""
    schemas: dict[str, Schema] = model.model_json_schema()["properties"]
    return {name: _field(schema, model.model_fields[name].annotation) for name, schema in schemas.items()}


def _field(schema: Schema, annotation: Any) -> Schema:
    around: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    inside = {key: value for key, value in schema.items() if key not in (*around, "title")}
    parts = [dict(part) for part in inside.get("anyOf", [inside])]
    for below in ("items", "additionalProperties"):
        if isinstance(inside.get(below), dict):
            parts[0][below] = or_variable(inside[below].get("anyOf", [inside[below]]))
    bounds = {key: part[keyword] for part in parts for key, keyword in LIMITS.items() if keyword in part}
    meant = words(from_annotation(annotation), bounds)
    parts[0]["errorMessage"] = f"must be {meant}"
    return {**around, **or_variable(parts)}
