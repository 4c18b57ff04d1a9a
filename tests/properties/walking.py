"""Which values does a JSON Schema admit? A strategy that walks it, and how the schema of specs is narrowed for that.

Of the keywords of draft-07 it knows those that `annpipe schema` writes. A value must fit several schemas at once (a
reference, what stands beside it, what the whole requires), so the walk carries a conjunction of them.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from hypothesis import strategies as st

Schema = dict[str, Any]
SCALARS = ("null", "boolean", "integer", "number", "string")
WORDS = ("word", "no", "말", "1e3", "x: y")
MOST = 6  # whole numbers and lists beyond their least


class NoValueError(Exception):
    """The schemas contradict one another."""


@st.composite
def instances(draw: st.DrawFn, schema: Schema) -> Any:
    """Values that the schema admits."""
    return _Walk(draw, schema).value([schema])


class _Walk:
    def __init__(self, draw: st.DrawFn, root: Schema) -> None:
        self._draw, self._root = draw, root

    def value(self, schemas: list[Any]) -> Any:
        """A value that fits all the schemas; raises NoValueError where one alternative after another fails."""
        flat = [schema for given in schemas for schema in self._flat(given)]
        choosing = next((schema for schema in flat if "anyOf" in schema), None)
        if choosing is None:
            return self._one(flat)
        rest = [schema for schema in flat if schema is not choosing]
        rest.append({key: part for key, part in choosing.items() if key != "anyOf"})
        alternatives = choosing["anyOf"]
        first = self._draw(st.integers(0, len(alternatives) - 1))
        for alternative in (*alternatives[first:], *alternatives[:first]):
            try:
                return self.value([*rest, alternative])
            except NoValueError:
                continue
        raise NoValueError

    def _flat(self, schema: Any) -> Iterator[Schema]:
        """The schema's parts, references followed; what stands beside a reference does not count in draft-07."""
        if schema is False:
            raise NoValueError
        if schema is True:
            return
        if "$ref" in schema:
            yield from self._flat(self._referred(schema["$ref"]))
            return
        for part in schema.get("allOf", []):
            yield from self._flat(part)
        yield {key: part for key, part in schema.items() if key != "allOf"}

    def _referred(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            found = found[unquote(step).replace("~1", "/").replace("~0", "~")]
        return found

    def _one(self, flat: list[Schema]) -> Any:
        listed = [part["enum"] if "enum" in part else [part["const"]] for part in flat if {"enum", "const"} & set(part)]
        if listed:
            common = [value for value in listed[0] if all(value in other for other in listed[1:])]
            common = [value for value in common if _json_type(value) in _types(flat)]
            return self._draw(st.sampled_from(common)) if common else self._none()
        types = _types(flat)
        if not types:
            raise NoValueError
        kind = self._draw(st.sampled_from(types))
        makers = {"object": self._object, "array": self._array, "integer": self._integer, "number": self._number}
        if kind in makers:
            return makers[kind](flat)
        if kind == "string" and any("pattern" in part for part in flat):
            raise NoValueError
        simple: dict[str, list[Any]] = {"null": [None], "boolean": [True, False], "string": list(WORDS)}
        return self._draw(st.sampled_from(simple[kind]))

    def _none(self) -> Any:
        raise NoValueError

    def _integer(self, flat: list[Schema]) -> int:
        low, high, open_low, open_high = _limits(flat)
        least = -2 if low == -math.inf else math.floor(low) + 1 if open_low else math.ceil(low)
        most = least + MOST if high == math.inf else math.ceil(high) - 1 if open_high else math.floor(high)
        return self._draw(st.integers(least, min(most, least + MOST))) if least <= most else self._none()

    def _number(self, flat: list[Schema]) -> float:
        low, high, open_low, open_high = _limits(flat)
        low, high = max(low, -1e3), min(high, 1e3)
        return self._draw(st.floats(low, high, exclude_min=open_low, exclude_max=open_high, allow_subnormal=False))

    def _array(self, flat: list[Schema]) -> list[Any]:
        least = max(part.get("minItems", 0) for part in flat)
        places = [len(p["items"]) for p in flat if p.get("additionalItems") is False and isinstance(p["items"], list)]
        most = min([least + 2, *places, *(part["maxItems"] for part in flat if "maxItems" in part)])
        length = self._draw(st.integers(least, most)) if least <= most else self._none()
        return [self.value(list(_items(flat, position))) for position in range(length)]

    def _object(self, flat: list[Schema]) -> dict[str, Any]:
        flat, chosen, left_out = self._decided(flat)
        names = [name for name in _names(flat) if name not in left_out]
        chosen |= {name for part in flat for name in part.get("required", [])}
        if not chosen <= set(names):
            raise NoValueError
        least = max(part.get("minProperties", 0) for part in flat)
        most = min([part["maxProperties"] for part in flat if "maxProperties" in part] + [len(names)])
        others = [name for name in names if name not in chosen]
        left = most - len(chosen)
        if left > 0 and others:
            wanted = max(0, least - len(chosen))
            some = st.lists(st.sampled_from(others), min_size=wanted, max_size=min(left, 4), unique=True)
            chosen |= set(self._draw(some))
        if not least <= len(chosen) <= most:
            raise NoValueError
        return {name: self.value(list(_below(flat, name))) for name in names if name in chosen}

    def _decided(self, flat: list[Schema]) -> tuple[list[Schema], set[str], set[str]]:
        """Each `if: {required: [name]}` decided once for all: what it entails, and which names stand and which not."""
        known = set(_names(flat))
        asked = {name for part in flat if "if" in part for name in part["if"]["required"]}
        chosen = {name for name in sorted(asked & known) if self._draw(st.booleans())}
        entailed: list[Schema] = []
        for part in flat:
            if "if" in part:
                holds = set(part["if"]["required"]) <= chosen
                entailed += self._flat(part.get("then" if holds else "else", True))
        return [*flat, *entailed], chosen, asked - chosen


def _types(flat: list[Schema]) -> list[str]:
    types = [[part["type"]] if isinstance(part["type"], str) else part["type"] for part in flat if "type" in part]
    common = [kind for kind in (types[0] if types else SCALARS) if all(_admits(other, kind) for other in types[1:])]
    if types and "number" in types[0]:  # a whole number is a number
        common += [kind for kind in ("integer",) if kind not in common and all(_admits(t, kind) for t in types)]
    return common


def _admits(types: list[str], kind: str) -> bool:
    return kind in types or (kind == "integer" and "number" in types)


def _json_type(value: Any) -> str:
    known = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return known[type(value)]


def _limits(flat: list[Schema]) -> tuple[float, float, bool, bool]:
    """The lowest and the highest number, and whether each is excluded."""
    lows = [(part[key], key != "minimum") for part in flat for key in ("minimum", "exclusiveMinimum") if key in part]
    highs = [(part[key], key != "maximum") for part in flat for key in ("maximum", "exclusiveMaximum") if key in part]
    low, open_low = max(lows, default=(-math.inf, False))
    high, open_high = min(highs, key=lambda pair: (pair[0], not pair[1]), default=(math.inf, False))
    return low, high, open_low, open_high


def _items(flat: list[Schema], position: int) -> Iterator[Any]:
    for part in flat:
        items = part.get("items", True)
        if not isinstance(items, list):
            yield items
        elif position < len(items):
            yield items[position]


def _names(flat: list[Schema]) -> list[str]:
    """The properties that may stand: those that each closed schema has, or two made up where none is named."""
    named = [part["properties"] for part in flat if "properties" in part]
    names = list(dict.fromkeys(name for properties in named for name in properties)) or ["x", "속도"]
    closed = [part["properties"] for part in flat if part.get("additionalProperties") is False]
    refused = {name for properties in named for name, schema in properties.items() if schema is False}
    return [name for name in names if name not in refused and all(name in properties for properties in closed)]


def _below(flat: list[Schema], name: str) -> Iterator[Any]:
    for part in flat:
        own = part.get("properties", {})
        patterns = [schema for pattern, schema in part.get("patternProperties", {}).items() if re.search(pattern, name)]
        yield from ([own[name]] if name in own else [] if patterns else [part.get("additionalProperties", True)])
        yield from patterns


def narrowed(schema: Schema, names: Mapping[str, tuple[str, ...]], definitions: Mapping[str, Schema]) -> Schema:
    """The schema with these components of each kind only, without bases and variables, some definitions replaced."""
    narrow = copy.deepcopy(schema)
    for name in ("extends", "variables", "plugins", "blocks"):
        del narrow["properties"][name]
    for kind, known in names.items():
        own = narrow["definitions"][kind]
        own["properties"] = {name: part for name, part in own["properties"].items() if name in (*known, "split")}
        own["anyOf"] = [part for part in own["anyOf"] if part.get("const", known[0]) in known]
    narrow["definitions"] |= copy.deepcopy(dict(definitions))
    return narrow
