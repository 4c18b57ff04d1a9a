"""An entry of the registry: all that is known of a component without importing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annpipe.registry import types

Json = None | bool | int | float | str | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One option of a component: name, type (as text), default, bounds and words."""

    name: str
    type: str
    default: Json = None
    required: bool = False
    supplied: bool = False
    bounds: Mapping[str, float] = field(default_factory=dict)
    description: str = ""

    @property
    def option_type(self) -> types.OptionType:
        return types.parse(self.type)

    @property
    def words(self) -> str:
        """The type in a user's words, bounds included."""
        return types.words(self.option_type, self.bounds)


@dataclass(frozen=True)
class Origin:
    """Where a component comes from: an installed distribution and its version, or a file."""

    distribution: str = ""
    version: str = ""
    file: str = ""

    def __str__(self) -> str:
        return self.file or f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Entry:
    """One component: kind, name, target to import (`module:attribute` or `file.py:attribute`), and its options.

    `traits` carries what the engine must know beyond the options, as JSON (a loss's kind of target, say).
    """

    kind: str
    name: str
    target: str
    parameters: tuple[Parameter, ...]
    summary: str
    origin: Origin
    file: str = ""
    line: int = 0
    traits: Mapping[str, Json] = field(default_factory=dict)

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    @property
    def options(self) -> tuple[Parameter, ...]:
        """The parameters a spec gives; the supplied ones come from the engine."""
        return tuple(parameter for parameter in self.parameters if not parameter.supplied)

    @property
    def where(self) -> str:
        """The definition as `file:line`, or the target when the source is not at hand."""
        return f"{self.file}:{self.line}" if self.file else self.target


def to_json(entry: Entry) -> dict[str, Json]:
    """The entry as the index keeps it; empty fields are left out, the origin belongs to the whole index."""
    row: dict[str, Json] = {"kind": entry.kind, "name": entry.name, "target": entry.target, "summary": entry.summary}
    row["parameters"] = [_parameter_to_json(parameter) for parameter in entry.parameters]
    for key in ("file", "line", "traits"):
        if value := getattr(entry, key):
            row[key] = dict(value) if key == "traits" else value
    return row


def _parameter_to_json(parameter: Parameter) -> dict[str, Json]:
    row: dict[str, Json] = {"name": parameter.name, "type": parameter.type}
    if parameter.required:
        row["required"] = True
    else:
        row["default"] = parameter.default
    if parameter.supplied:
        row["supplied"] = True
    if parameter.bounds:
        row["bounds"] = dict(parameter.bounds)
    if parameter.description:
        row["description"] = parameter.description
    return row


def from_json(row: Mapping[str, Any], origin: Origin) -> Entry:
    """The entry that `to_json` wrote."""
    parameters = tuple(Parameter(**parameter) for parameter in row["parameters"])
    return Entry(**{**row, "parameters": parameters}, origin=origin)
