"""JSON Schema of a component and of each kind of components, in all four spellings.

Mapping and list spellings stand side by side in one schema rather than as alternatives: each keyword looks only at
values of its own type, so an editor reports a wrong option at that option.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from annpipe.registry.entry import Entry
from annpipe.registry.kinds import KINDS, with_article
from annpipe.registry.registry import Registry
from annpipe.registry.types import holds_stacks
from annpipe.schema.values import (
    Schema,
    is_json,
    option_schema,
    reference,
    scalar_schemas,
    type_of,
    value_schema,
)
from annpipe.spec.sections.models import ONE_COMPONENT

BLOCK_NAME = "^[a-z_][a-z0-9_]*$"
MERGED = (*ONE_COMPONENT.values(), "distribution")
"""The kinds that stand in mappings: an extending spec may give some options of one, and its base the others."""


def component_definitions(entry: Entry) -> dict[str, Schema]:
    """What may stand behind a component's name, under its definition's name."""
    name, scalars = component_name(entry), _scalars(entry)
    whole = {"title": entry.name, "description": _described(entry), **_listed(entry)}
    types = ["array", *(["null"] if is_bare(entry) else [])]
    if not any("$ref" in scalar for scalar in scalars):
        kinds = {"type": ["object", *types], "errorMessage": _expected(entry)}
        return {name: whole | _named(entry) | {"anyOf": [*scalars, kinds, reference("variable")]}}
    # a mapping may also be the first option's own component: `residual: {Linear: 3}`
    mapping = {"type": "object", **_named(entry)}
    return {
        name: whole | {"anyOf": [reference(_options_name(entry)), *scalars, {"type": types}]},
        _options_name(entry): mapping,
    }


def component_name(entry: Entry) -> str:
    """The name of a component's definition."""
    return f"{entry.kind}.{entry.name}"


def is_bare(entry: Entry) -> bool:
    """Whether the component's name alone is enough."""
    return not any(option.required for option in entry.options)


def kind_schema(kind: str, registry: Registry, *, any_name: bool) -> Schema:
    """Exactly one component of a kind; `any_name` admits names that the registry lacks."""
    entries = registry.entries(kind)
    a_kind = with_article(kind)
    # yaml-language-server reports the problems of the first alternative where none fits, and shows over a bare name the
    # words of the one that does; with an `enum` of all names it would show them all
    names = [{"const": entry.name, "description": _described(entry)} for entry in entries if is_bare(entry)]
    mapping = {
        "type": ["object"],
        "errorMessage": f"must be {a_kind}, as `name` where it needs no options or `name: options`",
    }
    return {
        "properties": {entry.name: reference(component_name(entry)) for entry in entries},
        "additionalProperties": any_name,
        # apart from the properties: beside them it would keep yaml-language-server from offering any for an empty value
        "allOf": [{"minProperties": 1, "maxProperties": 1}],
        "anyOf": [mapping, *names, *_other_names(kind, entries, any_name=any_name), reference("variable")],
    }


def _other_names(kind: str, entries: Sequence[Entry], *, any_name: bool) -> list[Schema]:
    """Names that the registry lacks: of plugins that are not known, and of the spec's own blocks."""
    if any_name:
        return [{"type": "string"}]
    known = [entry.name for entry in entries if re.match(BLOCK_NAME, entry.name)]
    return [{"type": "string", "pattern": BLOCK_NAME, "not": {"enum": known}}] if kind == "layer" and known else []


def kind_schemas(registry: Registry, *, any_name: bool) -> dict[str, Schema]:
    """A definition for each kind and each component."""
    definitions = {kind: kind_schema(kind, registry, any_name=any_name) for kind in KINDS}
    for kind in KINDS:
        for entry in registry.entries(kind):
            definitions |= component_definitions(entry)
    return definitions


def _named(entry: Entry) -> Schema:
    """`Linear: {out_features: 100}`."""
    is_layer = entry.kind == "layer"  # its sizes may be said, where they agree
    writable = [o for o in entry.parameters if not o.supplied or (is_layer and o.type not in ("any", "stack"))]
    properties = {option.name: option_schema(option) for option in writable}
    required = [option.name for option in entry.options if option.required]
    needs = {"required": required} if required and entry.kind not in MERGED else {}
    return {"properties": properties, **needs, "additionalProperties": False}


def _listed(entry: Entry) -> Schema:
    """`Conv2d: [32, 3]`."""
    if not entry.options:
        return {"maxItems": 0}
    if holds_stacks(type_of(entry.options[0].type)):  # a list is the first option itself
        accepted = value_schema(type_of(entry.options[0].type), {})["anyOf"][0]
        return {key: accepted[key] for key in ("items", "minItems") if key in accepted}
    name = _options_name(entry) if any("$ref" in scalar for scalar in _scalars(entry)) else component_name(entry)
    items = [reference(name, "properties", option.name) for option in entry.options]
    needed = [position for position, option in enumerate(entry.options, start=1) if option.required]
    return {"items": items, **({"minItems": needed[-1]} if needed else {}), "additionalItems": False}


def _scalars(entry: Entry) -> list[Schema]:
    """`Linear: 100`: what fills the first option, where no other one is required."""
    if not entry.options or any(option.required for option in entry.options[1:]):
        return []
    return scalar_schemas(type_of(entry.options[0].type), entry.options[0].bounds)


def _options_name(entry: Entry) -> str:
    return f"{component_name(entry)} options"


def _described(entry: Entry) -> str:
    """The words for hover: what it is, its options in order, where it comes from."""
    parts = []
    for option in entry.options:
        usual = "" if option.required or not is_json(option.default) else f" = {json.dumps(option.default)}"
        parts.append(option.name + usual)
    options = f"{entry.name}: [{', '.join(parts)}]" if parts else "It takes no options."
    source = f"{with_article(entry.kind).capitalize()} from {_origin(entry)}."
    return "\n\n".join(part for part in (entry.summary, options, source) if part)


def _origin(entry: Entry) -> str:
    """The distribution and version, or the plugin file without its folder, which is another one for everybody."""
    return Path(entry.origin.file).name if entry.origin.file else str(entry.origin)


def _expected(entry: Entry) -> str:
    names = ", ".join(option.name for option in entry.options)
    return f"must be a list or a mapping of options: {names}" if names else f"{entry.name} takes no options"
