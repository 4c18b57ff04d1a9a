"""The resolved component: its name, its checked and completed options, and its registry entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from annpipe.errors import Place
from annpipe.expression import Expression
from annpipe.registry.discovery import load
from annpipe.registry.entry import UNKNOWN, Entry
from annpipe.registry.traits import SomeTraits
from annpipe.spec.yaml.nodes import Node

T = TypeVar("T")


@dataclass(frozen=True)
class Component:
    """One resolved component.

    `options` holds every option with its value: scalars, lists, mappings, Expressions and nested Components. Supplied
    parameters are there once they are known (a layer's `in_features` after its shapes ran). `nodes` are the nodes of
    the options that the spec gives, by name. `template` is the component as a spec says it, where that is less than
    what is built: a stack that is repeated stands there once. `entry` is what the registry knows of it.
    """

    kind: str
    name: str
    options: Mapping[str, Any]
    place: Place | None = field(default=None, compare=False)
    nodes: Mapping[str, Node] = field(default_factory=dict, compare=False, repr=False)
    template: Component | None = field(default=None, compare=False, repr=False)
    entry: Entry = field(default=UNKNOWN, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((self.kind, self.name, repr(self.to_data())))

    def traits(self, traits: type[SomeTraits]) -> SomeTraits:
        """What the engine must know of it beyond its options; for a component of another kind, nothing."""
        return self.entry.traits_as(traits)

    def load(self) -> Callable[..., Any]:
        """The class or function that it names; raises PluginFault when its file fails to import."""
        return load(self.entry)

    def with_options(self, **options: Any) -> Component:
        """The same component with some options set."""
        return replace(self, options={**self.options, **options})

    def to_data(self) -> Any:
        """What a spec would say: `name`, or `{name: {option: value}}`."""
        if self.template is not None:
            return self.template.to_data()
        if not self.options:
            return self.name
        return {self.name: {key: to_data(value) for key, value in self.options.items()}}


def to_data(value: Any) -> Any:
    """An option's value as plain YAML data."""
    match value:
        case Component():
            return value.to_data()
        case BaseModel():
            return value.model_dump()
        case Expression():
            return str(value)
        case list() | tuple():
            return [to_data(item) for item in value]
        case dict():
            return {key: to_data(item) for key, item in value.items()}
    return value


def transform(value: Any, change: Callable[[Component], Any]) -> Any:
    """The value with each component directly inside it replaced by what `change` makes of it."""
    match value:
        case Component():
            return change(value)
        case list() | tuple():
            return [transform(item, change) for item in value]
        case dict():
            return {key: transform(item, change) for key, item in value.items()}
    return value


def components_in(value: Any) -> Iterator[Component]:
    """The components directly inside a value."""
    components: list[Component] = []
    transform(value, components.append)
    yield from components


def at_every_depth(components: Iterable[Component]) -> Iterator[Component]:
    """The components and those inside them, at every depth."""
    for component in components:
        yield component
        yield from at_every_depth(components_in(dict(component.options)))
