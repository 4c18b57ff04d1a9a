"""An entry of the registry: all that is known of a component without importing it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from annpipe.registry import types
from annpipe.registry.kinds import traits_class, traits_of
from annpipe.registry.traits import SomeTraits, Traits

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
        return self.file or f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class Entry:
    """One component: kind, name, target to import (`module:attribute` or `file.py:attribute`), and its options.

    `traits` are those of its kind: what the engine must know beyond the options; a mapping is checked and becomes them.
    `loaded` is the callable itself where Python gave it to the registry; it counts in no comparison.
    """

    kind: str
    name: str
    target: str
    parameters: tuple[Parameter, ...]
    summary: str
    origin: Origin
    file: str = ""
    line: int = 0
    traits: Traits = field(default_factory=Traits)
    loaded: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.traits, traits_class(self.kind)):
            traits = self.traits if isinstance(self.traits, Mapping) else {}
            object.__setattr__(self, "traits", traits_of(self.kind, traits))

    def traits_as(self, traits: type[SomeTraits]) -> SomeTraits:
        """The traits as those of a kind; of a component of another kind, none."""
        return self.traits if isinstance(self.traits, traits) else traits()

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


UNKNOWN = Entry("", "", "", (), "", Origin())
"""The entry of a name that no registry has: no options, no traits."""


def to_json(entry: Entry, root: Path | None = None) -> dict[str, Json]:
    """The entry as the index keeps it; empty fields are left out and files below `root` are relative to it.

    The origin belongs to the whole index; an entry notes a distribution only where it differs (torch's own classes).
    """
    row: dict[str, Json] = {"kind": entry.kind, "name": entry.name, "target": entry.target, "summary": entry.summary}
    row["parameters"] = [_parameter_to_json(parameter) for parameter in entry.parameters]
    if entry.origin.distribution:
        row["distribution"] = entry.origin.distribution
    if entry.file:
        path = Path(entry.file)
        row["file"] = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else str(path)
        row["line"] = entry.line
    if traits := entry.traits.to_data():
        row["traits"] = traits
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


def from_json(row: Mapping[str, Any], origin: Origin, root: Path | None = None) -> Entry:
    """The entry that `to_json` wrote; relative files are below `root`."""
    fields = dict(row)
    fields["traits"] = traits_of(row["kind"], row.get("traits", {}))
    fields["parameters"] = tuple(Parameter(**parameter) for parameter in row["parameters"])
    if distribution := fields.pop("distribution", ""):
        origin = Origin(distribution, installed_version(distribution))
    if root and "file" in row:
        fields["file"] = str(root / row["file"])
    return Entry(**fields, origin=origin)


@cache
def installed_version(distribution: str) -> str:
    """The public version ("2.13.0", not "2.13.0+cpu") of an installed distribution, "" when it is not there."""
    try:
        return importlib.metadata.version(distribution).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def normal_name(distribution: str) -> str:
    """The name of a distribution in the form in which pip compares names.

    >>> normal_name("Annpipe_Gates")
    'annpipe-gates'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()
