"""JSON Schema of what a spec must say that extends no other spec.

An extending spec gives parts: its base may have the rest. So what is required stands apart from what is allowed, and
holds only where there is no `extends`. What is no mapping replaces the base's value, and is checked in any case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from annpipe.registry.entry import Entry
from annpipe.registry.registry import Registry
from annpipe.registry.types import ListOf, MappingOf, Named, OptionType, alternatives
from annpipe.schema.components import MERGED
from annpipe.schema.values import Schema, reference, type_of


def whole_schemas(registry: Registry) -> dict[str, Schema]:
    """What components of the merged kinds require, a definition for each kind."""
    definitions: dict[str, Schema] = {}
    for kind in MERGED:
        needs = {entry.name: _needs(entry) for entry in registry.entries(kind)}
        definitions[whole_name(kind)] = {"patternProperties": exactly({name: n for name, n in needs.items() if n})}
    # these are no components
    definitions[whole_name("optimizer")] |= {"if": {"required": ["groups"]}, "then": {"minProperties": 2}}
    definitions[whole_name("data")] |= {
        "allOf": [
            {"if": {"required": ["split"]}, "then": {"minProperties": 2}},
            {"if": {"required": ["transforms"]}, "then": {"minProperties": 2}},
            {"if": {"required": ["split", "transforms"]}, "then": {"minProperties": 3}},
        ]
    }
    return definitions


def whole_name(kind: str) -> str:
    """The name of a kind's definition here."""
    return f"{kind} in whole"


def exactly(schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Pattern properties of exactly these names: an editor does not offer them as a second set of completions."""
    return {f"^{re.sub(r'([^A-Za-z0-9_])', _escape, name)}$": schema for name, schema in schemas.items()}


def _escape(match: re.Match[str]) -> str:
    # only what regular expressions of every dialect allow to be escaped
    return "\\" + match[0] if match[0] in r"^$\.*+?()[]{}|/" else match[0]


def _needs(entry: Entry) -> Schema:
    required = [option.name for option in entry.options if option.required]
    inner = {option.name: _inner(type_of(option.type)) for option in entry.options}
    below = exactly({name: needs for name, needs in inner.items() if needs})
    needs: Schema = {"required": required} if required else {}
    if below:
        needs["patternProperties"] = below
        needs["items"] = [inner[option.name] for option in entry.options]
    if len(required) != 1 or entry.options[0].name not in required:
        return needs
    # a mapping may also be the first option's own component
    first = alternatives(type_of(entry.options[0].type))
    kinds = [member.name for member in first if isinstance(member, Named) and member.is_component]
    return (
        {"anyOf": [needs, *({"allOf": [reference(kind), _inner(Named(kind))]} for kind in kinds)]} if kinds else needs
    )


def _inner(type_: OptionType) -> Schema:
    """What the components inside a value of this type require; each keyword looks at one type of value only."""
    needs: Schema = {}
    for member in alternatives(type_):
        match member:
            case Named(name=name) if name in MERGED:
                needs |= reference(whole_name(name))
            case ListOf(item=item) if below := _inner(item):
                needs["items"] = below
            case MappingOf(value=value) if below := _inner(value):
                needs["additionalProperties"] = below
    return needs
