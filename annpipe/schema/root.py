"""JSON Schema of a whole spec."""

from __future__ import annotations

from itertools import combinations

from annpipe.registry.registry import Registry
from annpipe.schema.components import kind_schemas
from annpipe.schema.inputs_outputs import loss_or_heads
from annpipe.schema.sections import (
    DATA,
    groups_schema,
    no_block_without_blocks,
    section_schema,
    split_schema,
    train_requires,
    transforms_schema,
)
from annpipe.schema.values import VARIABLE, Schema, reference, type_schemas
from annpipe.schema.whole import exactly, whole_name, whole_schemas
from annpipe.spec.sections.models import ONE_COMPONENT
from annpipe.spec.sections.spec import REQUIRED, SECTIONS

EXTENDS: Schema = {
    "description": "another spec, relative to this one: what is written here replaces the same keys of it",
    "type": ["string", "null"],
}
VARIABLES: Schema = {
    "description": "values said once, and used as ${name}",
    "type": ["object", "null"],
    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
}


def spec_schema(registry: Registry, *, any_name: bool = False, variables: bool = True) -> Schema:
    """The JSON Schema (draft-07) of a whole spec over the components of a registry.

    `any_name` admits components that the registry lacks, for specs whose plugins are not known; without `variables`,
    `${name}` stands for no value: for tools that make specs from the schema.
    """
    kinds = kind_schemas(registry, any_name=any_name)
    kinds[DATA] |= _with(kinds[DATA], {"split": split_schema(), "transforms": transforms_schema()})
    kinds["optimizer"] |= _with(kinds["optimizer"], {"groups": groups_schema(registry.entries("optimizer"))})
    shared = {"variable": VARIABLE if variables else False} | type_schemas(registry) | whole_schemas(registry)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "made by `annpipe schema`; make it again when plugins change",
        "description": "A spec of annpipe: a training run.",
        "type": "object",
        "properties": {
            "extends": EXTENDS,
            "variables": VARIABLES,
            **{name: section_schema(name) for name in SECTIONS},
        },
        "additionalProperties": False,
        "if": {"required": ["extends"], "properties": {"extends": {"type": "string"}}},
        "else": _whole() | ({} if any_name else no_block_without_blocks(registry)),
        "definitions": kinds | shared,
    }


def _whole() -> Schema:
    """What must be there when nothing is extended."""
    sections = {name: reference(whole_name(name)) for name in ONE_COMPONENT}
    required = [name for name in REQUIRED if name != "loss"]
    parts = exactly(sections | {"train": train_requires()})
    return {"required": required, "patternProperties": parts, "allOf": [loss_or_heads()]}


def _with(kind: Schema, beside: Schema) -> Schema:
    """A kind with something else beside its component, as `data` has `split`."""
    most: Schema = {"maxProperties": 1}
    for count in range(1, len(beside) + 1):
        some = [{"required": list(names)} for names in combinations(beside, count)]
        condition = some[0] if len(some) == 1 else {"anyOf": some}
        most = {"if": condition, "then": {"maxProperties": 1 + count}, "else": most}
    return {"properties": {**kind["properties"], **beside}, "allOf": [{"minProperties": 1}], **most}
